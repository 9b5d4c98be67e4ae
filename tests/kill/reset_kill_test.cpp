// Who resets a mutex is killed in the rebuild.
#include <gtest/gtest.h>
#include <unistd.h>

#include "scenes/accounts.hpp"

namespace outlive::testing {
namespace {

class reset_kill_test : public ::testing::Test {
 protected:
  void fail_to_repair(unsigned times) {
    const auto fails =
        on_owner_death(all_.seg(), "account", [](const owner_death&) { return failed; });
    std::error_code error;
    for (unsigned i = 0; i < times; ++i) all_.mutex().lock(error);
    EXPECT_EQ(error, errc::repair_failed);
  }
  void die_in_a_rebuild() {
    child resetter("resetter", [&](agent& parent) {
      reset(all_[0], [&](account& x, const owner_death&) -> repair_result {
        x.a = 1;
        parent.tell("rebuilding");
        parent.pause_forever();
      });
    });
    resetter.wait_for("rebuilding");
    resetter.kill();
    resetter.expect_killed();
  }

  accounts all_{1};
};

TEST_F(reset_kill_test, with_all_attempts_used_up_it_is_not_recoverable_again) {
  leave_holding(all_);
  fail_to_repair(all_.seg().options().attempts);
  die_in_a_rebuild();
  const auto repair = all_.mended_here();
  expect_refused(all_, 0, errc::not_recoverable);
  EXPECT_EQ(all_.repairs(), 0u) << "a repair was tried on what no repair is allowed to mend";
  die_in_a_rebuild();
  EXPECT_TRUE(reset(all_[0], [](account& x, const owner_death&) { return x = {}, repaired; }))
      << "not left by a second reset";
  expect_usable(all_);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(reset_kill_test, with_attempts_left_the_next_locker_repairs) {
  leave_holding(all_);
  die_in_a_rebuild();
  const auto repair = all_.mended_here();
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

}  // namespace
}  // namespace outlive::testing
