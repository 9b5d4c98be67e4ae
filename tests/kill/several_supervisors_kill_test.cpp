// Several supervisors of one segment, and one that is killed in its work.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"

namespace outlive::testing {
namespace {

class several_supervisors_kill_test : public ::testing::Test {
 protected:
  accounts all_{8};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(several_supervisors_kill_test, one_recovers_and_none_does_harm) {
  constexpr unsigned rounds = 40;
  shared_counter recovered;
  std::vector<std::unique_ptr<child>> overseers;
  for (int i = 0; i < 3; ++i) {
    overseers.push_back(std::make_unique<child>("overseer", [&](agent& parent) {
      watching watch(all_.seg(), sweeping_often());
      watch->on_death([&](const participant_death& death) {
        for (const auto& line : death.recovered)
          recovered.add(line.outcome == recovery_outcome::repaired ? 1 : 0);
      });
      parent.tell("watching");
      EXPECT_TRUE(watch.until([&] { return recovered.load() >= rounds; })) << recovered.load();
      EXPECT_TRUE(watch.errors.empty()) << watch.errors[0];
    }));
    overseers.back()->wait_for("watching");
  }
  for (unsigned i = 0; i < rounds; ++i) {
    child owner("owner", all_.holder(i % 8));
    owner.wait_for("inside");
    owner.kill();
    owner.expect_killed();
    ASSERT_TRUE(within(default_timeout(), [&] { return all_.repairs() == i + 1; }))
        << all_.who_holds_what();
  }
  for (const auto& each : overseers) each->expect_exit(0);
  EXPECT_EQ(recovered.load(), rounds);
  EXPECT_EQ(all_.repairs(), rounds);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(several_supervisors_kill_test,
       a_supervisor_that_is_killed_in_a_repair_leaves_it_to_the_next) {
  repair_.reset();
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  child overseer("overseer", [&](agent& parent) {
    const auto dies =
        on_owner_death(all_.seg(), "account", [&](const owner_death&) -> repair_result {
          parent.tell("repairing");
          parent.pause_forever();
        });
    supervisor watch(all_.seg());
    watch.run({});
  });
  owner.kill();
  overseer.wait_for("repairing");
  // A sweep can find the owner's thread dead before its process has ended. Were the end seen after
  // the overseer's death, what is recovered would be reported with the owner.
  owner.expect_killed();
  const auto mended = all_.mended_here();
  watching watch(all_.seg());
  overseer.kill();
  ASSERT_TRUE(watch.until_dead(overseer.pid()));
  const participant_death& death = *watch.find(overseer.pid());
  ASSERT_EQ(death.recovered.size(), 1u);
  EXPECT_EQ(death.recovered[0].outcome, recovery_outcome::repaired);
  overseer.expect_killed();
  expect_usable(all_);
}

}  // namespace
}  // namespace outlive::testing
