// Owners that hang, and threads that wait for each other: found, told once, and ended by force.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"
#include "scenes/watching.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class supervisor_hung_kill_test : public ::testing::Test {
 protected:
  child::body holder() {
    return [this](agent& parent) {
      all_.lock_and_tear();
      parent.tell("inside");
      parent.await("let go");
      all_.value().mend();
      all_.mutex().unlock();
      parent.tell("out");
      parent.pause_forever();
    };
  }
  /// Takes one, and when it is told to, another one, and gives back neither.
  child::body embrace(unsigned first, unsigned second) {
    return [this, first, second](agent& parent) {
      all_.mutex(first).lock();
      parent.tell("first");
      parent.await("go on");
      all_.mutex(second).lock();
      parent.tell("both");
      parent.pause_forever();
    };
  }
  void expect_hung(watching& watch) {
    watch->on_hung(milliseconds(20), [this](const hung_owner& owner) { hung_.push_back(owner); });
    ASSERT_TRUE(watch.until([&] { return !hung_.empty(); }));
  }

  accounts all_{4};
  repair_registration repair_ = all_.mended_here();
  std::vector<hung_owner> hung_;
};

TEST_F(supervisor_hung_kill_test,
       a_holder_that_does_not_let_go_is_told_once_with_all_that_is_known) {
  child owner("owner", holder());
  owner.wait_for("inside");
  child waiter("waiter", [&](agent&) { all_.mutex().lock(), all_.mutex().unlock(); });
  ASSERT_TRUE(within(default_timeout(), [&] { return all_.has_waited(waiter.pid()); }));
  owner.kill(SIGSTOP);
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(owner.pid()) == 'T'; }));
  supervisor_options options = sweeping_often();
  options.stacks = [](pid_t tid) {
    return thread_stack{{stack_frame{static_cast<std::uint64_t>(tid), 0, "", "f", 0, ""}}, ""};
  };
  watching watch(all_.seg(), options);
  expect_hung(watch);
  const hung_owner& found = hung_.at(0);
  EXPECT_TRUE(found.who.known);
  EXPECT_EQ(found.who.tid, owner.pid());
  EXPECT_EQ(found.held.mutex, &all_.mutex());
  EXPECT_EQ(found.held.mutex_name, "account 0");
  EXPECT_NE(found.held.acquired_at.module.find("supervisor_hung_kill_test"), std::string::npos)
      << found.held.acquired_at.module;
  EXPECT_GE(found.at_least, milliseconds(20));
  EXPECT_EQ(found.condition, thread_condition::stopped) << to_string(found.condition);
  EXPECT_FALSE(found.repairing);
  ASSERT_EQ(found.stack.frames.size(), 1u);
  EXPECT_EQ(found.stack.frames[0].address, static_cast<std::uint64_t>(owner.pid()));
  ASSERT_EQ(found.waiters.size(), 1u);
  EXPECT_EQ(found.waiters[0].tid, waiter.pid());
  int looks = 0;
  watch.until([&] { return ++looks > 20; });
  EXPECT_EQ(hung_.size(), 1u);
  owner.kill(SIGCONT);
  owner.tell("let go");
  owner.wait_for("out");
  waiter.expect_exit(0);
  owner.kill();
  owner.expect_killed();
}

TEST_F(supervisor_hung_kill_test, kill_and_recover_ends_the_process_and_frees_the_mutex) {
  child owner("owner", holder());
  owner.wait_for("inside");
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  EXPECT_EQ(hung_.at(0).stack.frames.size(), 0u);
  EXPECT_NE(hung_[0].stack.problem, "");
  const auto death = watch->kill_and_recover(hung_[0]);
  ASSERT_TRUE(death);
  EXPECT_EQ(death->pid, owner.pid());
  EXPECT_EQ(death->signal, SIGKILL);
  ASSERT_EQ(death->recovered.size(), 1u);
  EXPECT_EQ(death->recovered[0].outcome, recovery_outcome::repaired);
  expect_usable(all_);
  ASSERT_TRUE(watch.until_dead(owner.pid())) << "on_death was not told";
  EXPECT_EQ(std::count_if(watch.deaths.begin(), watch.deaths.end(),
                          [&](const auto& each) { return each.pid == owner.pid(); }),
            1);
  EXPECT_FALSE(watch->kill_and_recover(hung_[0])) << "it is dead already";
  owner.expect_killed();
}

TEST_F(supervisor_hung_kill_test, kill_and_recover_works_in_the_callback) {
  child owner("owner", holder());
  owner.wait_for("inside");
  watching watch(all_.seg(), sweeping_often());
  std::optional<participant_death> death;
  watch->on_hung(milliseconds(20),
                 [&](const hung_owner& found) { death = watch->kill_and_recover(found); });
  ASSERT_TRUE(watch.until([&] { return death.has_value(); }));
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  owner.expect_killed();
  expect_usable(all_);
}

TEST_F(supervisor_hung_kill_test, who_has_let_go_meanwhile_is_not_killed) {
  child owner("owner", holder());
  owner.wait_for("inside");
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  owner.tell("let go");
  owner.wait_for("out");
  EXPECT_FALSE(watch->kill_and_recover(hung_.at(0)));
  EXPECT_FALSE(owner.ended());
  owner.kill();
  owner.expect_killed();
}

TEST_F(supervisor_hung_kill_test, the_own_process_is_not_killed) {
  all_.mutex().lock();
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  EXPECT_EQ(thrown::by([&] { watch->kill_and_recover(hung_.at(0)); }).code,
            std::errc::invalid_argument);
  all_.mutex().unlock();
}

TEST_F(supervisor_hung_kill_test, a_threshold_that_is_not_positive_is_refused) {
  supervisor watch(all_.seg());
  EXPECT_EQ(thrown::by([&] { watch.on_hung(milliseconds(0), [](const hung_owner&) {}); }).code,
            std::errc::invalid_argument);
}

TEST_F(supervisor_hung_kill_test, an_heir_that_hangs_in_its_repair) {
  leave_holding(all_);
  child heir("heir", [&](agent& parent) {
    const auto hangs = on_owner_death(all_.mutex(), [&](const owner_death&) -> repair_result {
      parent.tell("repairing");
      parent.pause_forever();
    });
    all_.mutex().lock();
  });
  heir.wait_for("repairing");
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  EXPECT_TRUE(hung_.at(0).repairing);
  EXPECT_EQ(hung_[0].who.pid, heir.pid());
  ASSERT_TRUE(watch->kill_and_recover(hung_[0]));
  heir.expect_killed();
  expect_usable(all_);
}

TEST_F(supervisor_hung_kill_test, processes_that_wait_for_each_other_are_told_once) {
  std::vector<std::unique_ptr<child>> ring;
  for (unsigned i = 0; i < 3; ++i) {
    ring.push_back(std::make_unique<child>("embracing", embrace(i, (i + 1) % 3)));
    ring.back()->wait_for("first");
  }
  watching watch(all_.seg(), sweeping_often());
  std::vector<deadlock> found;
  watch->on_deadlock([&](const deadlock& each) { found.push_back(each); });
  int looks = 0;
  watch.until([&] { return ++looks > 5; });
  EXPECT_TRUE(found.empty()) << to_string(found[0]);
  for (const auto& each : ring) each->tell("go on");
  ASSERT_TRUE(watch.until([&] { return !found.empty(); }));
  ASSERT_EQ(found[0].threads.size(), 3u) << to_string(found[0]);
  for (const deadlocked_thread& each : found[0].threads) {
    for (unsigned i = 0; i < 3; ++i) {
      if (each.who.pid != ring[i]->pid()) continue;
      EXPECT_EQ(each.waits_for.mutex, &all_.mutex((i + 1) % 3));
      EXPECT_NE(each.waits_for.acquired_at.module.find("supervisor_hung_kill_test"),
                std::string::npos)
          << each.waits_for.acquired_at.module;
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(
        found[0].threads[i].waits_for.mutex_name,
        "account " + std::to_string(
                         (all_.index_of(*found[0].threads[(i + 2) % 3].waits_for.mutex) + 1) % 3));
  }
  EXPECT_EQ(to_string(found[0]).find("deadlock of 3 threads: pid "), 0u) << to_string(found[0]);
  looks = 0;
  watch.until([&] { return ++looks > 10; });
  EXPECT_EQ(found.size(), 1u);
  ring[0]->kill();
  ring[2]->wait_for("both");  // what the dead one held is free again
  ring[0]->expect_killed();
  for (const unsigned i : {1u, 2u}) {
    ring[i]->kill();
    ring[i]->expect_killed();
  }
}

}  // namespace
}  // namespace outlive::testing
