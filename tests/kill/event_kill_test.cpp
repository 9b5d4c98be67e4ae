// An heir is killed in the program's handler of events: the next heir repairs what was not repaired
// yet, and repairs nothing twice.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include <outlive/event.hpp>

#include "scenes/accounts.hpp"

namespace outlive::testing {
namespace {

class event_kill_test : public ::testing::Test {
 protected:
  /// An heir that is killed in its handler, at the first event of that kind.
  void kill_an_heir_at(event_kind kind) {
    child heir("heir", [&](agent& parent) {
      on_event([&](const event& what) {
        if (what.kind != kind) return;
        parent.tell("in the handler");
        ::raise(SIGKILL);
      });
      all_.mutex().lock();
      parent.tell("has it");
    });
    heir.wait_for("in the handler");
    heir.expect_killed();
  }

  accounts all_{1};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(event_kill_test, before_the_repair_the_next_heir_repairs) {
  kill_a_holder(all_);
  kill_an_heir_at(event_kind::death_met);
  EXPECT_EQ(all_.repairs(), 0u);
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(event_kill_test, after_the_repair_there_is_nothing_to_repair) {
  kill_a_holder(all_);
  kill_an_heir_at(event_kind::repair_ended);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_survivor(all_, 0, false);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

}  // namespace
}  // namespace outlive::testing
