// An heir is killed in the program's handler of events: the next heir repairs what was not repaired
// yet, and repairs nothing twice.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include <outlive/event.hpp>
#include <outlive/segment_view.hpp>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"

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
  const segment_view view(all_.seg());
  ASSERT_EQ(view.pending_deaths().size(), 1u);
  EXPECT_TRUE(view.pending_deaths()[0].repairing) << "a death in the handler is one in the repair";
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_EQ(view.death_count(), 2u) << "the owner's, and that of the heir who had met it";
  EXPECT_EQ(view.meeting_count(), 2u);
  EXPECT_TRUE(view.pending_deaths().empty());
  expect_usable(all_);
}

TEST_F(event_kill_test, after_the_repair_there_is_nothing_to_repair) {
  kill_a_holder(all_);
  kill_an_heir_at(event_kind::repair_ended);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_TRUE(segment_view(all_.seg()).pending_deaths().empty()) << "nothing is left to repair";
  EXPECT_EQ(segment_view(all_.seg()).death_count(), 1u);
  expect_survivor(all_, 0, false);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

/// Otherwise a handler that crashes would kill every worker that locks.
TEST_F(event_kill_test, deaths_in_the_handler_use_up_the_attempts) {
  kill_a_holder(all_);
  const unsigned attempts = small_segment().attempts;
  for (unsigned i = 0; i < attempts; ++i) kill_an_heir_at(event_kind::death_met);
  kill_an_heir_at(event_kind::death_met);  // of the event that the mutex is given up
  EXPECT_EQ(all_.repairs(), 0u);
  expect_refused(all_, 0, errc::not_recoverable);
  child last("an heir with the same handler", [&](agent& parent) {
    on_event([&](const event&) { ::raise(SIGKILL); });
    if (thrown::by([&] { all_.mutex().lock(); }).code == errc::not_recoverable)
      parent.tell("refused");
  });
  last.wait_for("refused");
  last.expect_exit(0);
}

TEST_F(event_kill_test, a_death_in_the_handler_without_a_repair_is_not_repeated) {
  repair_.reset();
  kill_a_holder(all_);
  kill_an_heir_at(event_kind::death_met);
  expect_refused(all_, 0, errc::owner_died_unrepaired);
  const auto repair = all_.mended_here();
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
}

/// An heir that dies in its repair is a death of its own, and is named while nobody has met it.
TEST_F(event_kill_test, an_heir_that_dies_in_its_repair_is_pending_and_then_counted) {
  repair_.reset();
  kill_a_holder(all_);
  child heir("heir", [&](agent&) {
    const auto dies = on_owner_death(
        all_.mutex(), [](const owner_death&) -> repair_result { return ::raise(SIGKILL), failed; });
    all_.mutex().lock();
  });
  heir.expect_killed();
  const segment_view view(all_.seg());
  const auto pending = view.pending_deaths();
  ASSERT_EQ(pending.size(), 1u);
  EXPECT_EQ(pending[0].owner.pid, heir.pid());
  EXPECT_TRUE(pending[0].repairing);
  EXPECT_EQ(view.death_count(), 1u);
  const auto repair = all_.mended_here();
  expect_survivor(all_, 0, true);
  EXPECT_EQ(view.death_count(), 2u);
  EXPECT_TRUE(view.pending_deaths().empty());
}

}  // namespace
}  // namespace outlive::testing
