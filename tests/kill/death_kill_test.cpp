// All the ways in which an owner can end, a process or only a thread: each is an owner death, and
// is repaired once.
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <thread>

#include "scenes/accounts.hpp"
#include "support/death.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class kinds_of_death_kill_test : public ::testing::TestWithParam<death> {
 protected:
  accounts all_;
  repair_registration repair_ = all_.mended_here();
};

TEST_P(kinds_of_death_kill_test, the_next_locker_repairs_once) {
  const std::uint32_t records = all_.seg().threads_in_use();
  child victim("victim", [&](agent& parent) {
    run_then_die(GetParam(), [&] { all_.lock_and_tear(); });
    parent.tell("thread gone");
    parent.pause_forever();
  });
  expect_end(victim, GetParam());
  EXPECT_FALSE(all_.value().whole());
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
  if (!ends_process(GetParam())) {
    EXPECT_FALSE(victim.ended()) << "only a thread, or the program, was to end";
    victim.kill();
    victim.expect_killed();
    expect_usable(all_);
    EXPECT_EQ(all_.repairs(), 1u) << "the end of the process repaired once more";
  }
  recover(all_.seg());  // an orphaned liveness mutex is given back here, if nowhere else
  EXPECT_EQ(all_.seg().threads_in_use(), records) << all_.who_holds_what();
}

TEST_P(kinds_of_death_kill_test, a_blocked_locker_repairs_once) {
  shared_counter inherited;
  child victim("victim", [&](agent& parent) {
    run_then_die(GetParam(), [&] {
      all_.lock_and_tear();
      parent.tell("inside");
      parent.await("die");
    });
    parent.tell("thread gone");
    parent.pause_forever();
  });
  victim.wait_for("inside");
  child waiter("waiter", [&](agent& parent) {
    parent.tell("waits");
    auto x = all_[0].lock();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(x->whole());
    inherited.add();
  });
  waiter.wait_for("waits");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(waiter.pid()) == 'S'; }));
  victim.tell("die");
  expect_end(victim, GetParam());
  ASSERT_TRUE(inherited.wait_equal(1)) << all_.who_holds_what();
  waiter.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
}

INSTANTIATE_TEST_SUITE_P(every_kind, kinds_of_death_kill_test, ::testing::ValuesIn(all_deaths),
                         [](const auto& test) { return name_of(test.param); });

// What ends the process may come from any of its threads; the owner is not the main one here.
class process_death_kill_test : public ::testing::TestWithParam<death> {
 protected:
  accounts all_;
  repair_registration repair_ = all_.mended_here();
};

TEST_P(process_death_kill_test, an_owner_that_is_not_the_main_thread_ends_the_process) {
  const std::uint32_t records = all_.seg().threads_in_use();
  child victim("victim", [&](agent&) {
    std::thread([&] {
      all_.lock_and_tear();
      die(GetParam());
    }).join();
  });
  expect_end(victim, GetParam());
  EXPECT_FALSE(all_.value().whole());
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_EQ(all_.seg().threads_in_use(), records) << all_.who_holds_what();
}

INSTANTIATE_TEST_SUITE_P(on_another_thread, process_death_kill_test,
                         ::testing::Values(death::sigkill, death::exit_now, death::exit,
                                           death::abort, death::segfault,
                                           death::uncaught_exception),
                         [](const auto& test) { return name_of(test.param); });

class death_kill_test : public ::testing::Test {
 protected:
  accounts all_;
  repair_registration repair_ = all_.mended_here();
};

TEST_F(death_kill_test, the_main_thread_ends_while_holding_and_the_process_lives_on) {
  child victim("victim", [&](agent& parent) {
    std::thread([&] { parent.pause_forever(); }).detach();
    all_.lock_and_tear();
    parent.tell("inside");
    pthread_exit(nullptr);
  });
  victim.wait_for("inside");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(victim.pid()) == 'Z'; }));
  EXPECT_FALSE(victim.ended());
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(death_kill_test, another_thread_of_the_same_process_inherits) {
  child process("process", [&](agent& parent) {
    std::thread([&] { all_.lock_and_tear(); }).join();
    auto x = all_[0].try_lock_for(default_timeout());
    ASSERT_TRUE(x) << all_.who_holds_what();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(x->whole());
    parent.tell("inherited");
  });
  process.wait_for("inherited");
  process.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
}

}  // namespace
}  // namespace outlive::testing
