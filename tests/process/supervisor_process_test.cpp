// A supervisor: whom it finds, what it tells of a death, and how it gets on with callbacks and
// event loops. Nobody is killed here.
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <stop_token>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class supervisor_process_test : public ::testing::Test {
 protected:
  /// A child that tears the account and exits with 3 when it is told to.
  child::body holder(unsigned which = 0) {
    return [this, which](agent& parent) {
      all_.lock_and_tear(which);
      parent.tell("inside");
      parent.await("die");
      _exit(3);
    };
  }

  accounts all_{4};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(supervisor_process_test, death_of_a_child_that_was_attached_before) {
  child owner("owner", holder(1));
  owner.wait_for("inside");
  watching watch(all_.seg());
  EXPECT_EQ(watch->watched(), 1u);
  owner.tell("die");
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  const participant_death& death = watch.deaths.at(0);
  EXPECT_EQ(death.tid, 0);
  EXPECT_NE(death.start_time, 0u);
  EXPECT_NE(death.command_name, "unknown");
  EXPECT_EQ(death.exit_code, 3);
  EXPECT_FALSE(death.signal);
  ASSERT_EQ(death.threads.size(), 1u);
  EXPECT_EQ(death.threads[0].who.tid, owner.pid());
  EXPECT_TRUE(death.threads[0].who.known);
  ASSERT_EQ(death.threads[0].in_hand.size(), 1u);
  EXPECT_EQ(death.threads[0].in_hand[0].mutex, &all_.mutex(1));
  EXPECT_EQ(death.threads[0].in_hand[0].mutex_name, "account 1");
  EXPECT_EQ(death.threads[0].in_hand[0].lock_class, "account");
  EXPECT_NE(death.threads[0].in_hand[0].acquired_at.module.find("supervisor_process_test"),
            std::string::npos)
      << death.threads[0].in_hand[0].acquired_at.module;
  ASSERT_EQ(death.recovered.size(), 1u);
  EXPECT_EQ(death.recovered[0].outcome, recovery_outcome::repaired);
  EXPECT_EQ(death.recovered[0].mutex_name, "account 1");
  EXPECT_GT(death.recovery_time.count(), 0);
  EXPECT_EQ(to_string(death), "pid " + std::to_string(owner.pid()) + " (" + death.command_name +
                                  ") exited with code 3: 1 mutex recovered, 0 not");
  EXPECT_TRUE(all_.value(1).whole());
  EXPECT_EQ(watch->watched(), 0u);
  EXPECT_TRUE(watch.idle()) << "an ended process is still a source of events";
  owner.expect_exit(3);  // its status was not taken
  expect_usable(all_, 1);
}

TEST_F(supervisor_process_test, who_attaches_later_is_told_and_not_polled) {
  watching watch(all_.seg());
  EXPECT_TRUE(watch.idle());
  child owner("owner", holder());
  owner.wait_for("inside");
  ASSERT_TRUE(watch.until([&] { return watch->watched() == 1; }));
  owner.tell("die");
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  EXPECT_EQ(watch.deaths.at(0).recovered.size(), 1u);
  owner.expect_exit(3);
  EXPECT_TRUE(watch.errors.empty()) << watch.errors[0];
}

TEST_F(supervisor_process_test, a_child_that_locks_and_dies_before_anybody_looks) {
  watching watch(all_.seg());
  child owner("owner", [&](agent&) {
    all_.lock_and_tear();
    _exit(0);
  });
  owner.expect_exit(0);  // reaped: its pid is free by now
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  EXPECT_EQ(watch.deaths.at(0).recovered.size(), 1u);
  EXPECT_FALSE(watch.deaths.at(0).exit_code) << "somebody else had taken the status";
  expect_usable(all_);
}

TEST_F(supervisor_process_test, death_of_a_stranger_has_no_exit_status) {
  watching watch(all_.seg());
  child nurse("nurse", [&](agent& parent) {
    child owner("owner", holder());
    owner.wait_for("inside");
    parent.tell("inside");
    parent.await("die");
    owner.tell("die");
    owner.expect_exit(3);
  });
  nurse.wait_for("inside");
  nurse.tell("die");
  ASSERT_TRUE(watch.until([&] { return !watch.deaths.empty(); }));
  EXPECT_NE(watch.deaths[0].pid, nurse.pid());
  EXPECT_FALSE(watch.deaths[0].exit_code);
  EXPECT_FALSE(watch.deaths[0].signal);
  EXPECT_EQ(watch.deaths[0].recovered.size(), 1u);
  nurse.expect_exit(0);
  expect_usable(all_);
}

TEST_F(supervisor_process_test, those_who_died_before_are_told_only_if_they_left_something) {
  leave_holding(all_, 2);
  child tidy("tidy", [&](agent&) {
    all_.mutex(0).lock();
    all_.mutex(0).unlock();
    _exit(0);
  });
  tidy.expect_exit(0);
  watching watch(all_.seg());
  ASSERT_EQ(watch.deaths.size(), 1u);
  ASSERT_EQ(watch.deaths[0].recovered.size(), 1u);
  EXPECT_EQ(watch.deaths[0].recovered[0].mutex_name, "account 2");
  expect_usable(all_, 2);
}

TEST_F(supervisor_process_test, an_orderly_end_is_told_with_nothing_in_hand) {
  watching watch(all_.seg());
  child tidy("tidy", [&](agent&) {
    all_.mutex(0).lock();
    all_.mutex(0).unlock();
  });
  ASSERT_TRUE(watch.until_dead(tidy.pid()));
  EXPECT_EQ(watch.deaths.at(0).exit_code, 0);
  EXPECT_TRUE(watch.deaths.at(0).threads.empty());
  EXPECT_TRUE(watch.deaths.at(0).recovered.empty());
  EXPECT_EQ(to_string(watch.deaths[0]).substr(to_string(watch.deaths[0]).find(')')),
            ") exited with code 0: no mutex to recover");
  tidy.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 0u);
}

TEST_F(supervisor_process_test, status_of_a_child_is_taken_where_that_is_asked_for) {
  supervisor_options options = without_sweeps();
  options.reap_children = true;
  watching watch(all_.seg(), options);
  const pid_t pid = fork();
  if (pid == 0) {
    all_.lock_and_tear();
    _exit(7);
  }
  ASSERT_TRUE(watch.until_dead(pid));
  EXPECT_EQ(watch.deaths.at(0).exit_code, 7);
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), -1) << "it is still there to be waited for";
}

TEST_F(supervisor_process_test, a_repair_that_fails_is_told_and_tried_again_by_nobody) {
  repair_.reset();
  const auto fails =
      on_owner_death(all_.seg(), "account", [](const owner_death&) { return failed; });
  watching watch(all_.seg(), sweeping_often());
  const pid_t pid = leave_holding(all_, 0);
  ASSERT_TRUE(watch.until_dead(pid));
  ASSERT_EQ(watch.deaths.at(0).recovered.size(), 1u);
  EXPECT_EQ(watch.deaths[0].recovered[0].error, errc::repair_failed);
  int sweeps = 0;
  watch.until([&] { return ++sweeps > 20; });
  EXPECT_EQ(watch.deaths.size(), 1u);
  const auto log = death_log(all_.seg());
  EXPECT_EQ(std::count_if(log.begin(), log.end(),
                          [](const auto& each) { return each.outcome == death_outcome::failed; }),
            1)
      << "sweeps use up the attempts that lockers have";
}

TEST_F(supervisor_process_test, an_exception_of_a_callback_comes_out_and_nothing_is_lost) {
  supervisor watch(all_.seg(), without_sweeps());
  unsigned told = 0;
  watch.on_death([&](const participant_death&) {
    if (++told == 1) throw std::runtime_error("of the callback");
  });
  watch.dispatch();
  const pid_t first = leave_holding(all_, 0);
  const pid_t second = leave_holding(all_, 1);
  EXPECT_NE(first, second);
  EXPECT_THROW(watch.dispatch(), std::runtime_error);
  EXPECT_EQ(all_.repairs(), 2u) << "both are recovered before either is told";
  pollfd due{watch.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&due, 1, 0), 1) << "nobody would come back to tell the other";
  watch.dispatch();
  EXPECT_EQ(told, 2u);
}

TEST_F(supervisor_process_test, run_ends_when_a_stop_is_requested) {
  supervisor watch(all_.seg());
  std::stop_source stop;
  shared_counter deaths;
  watch.on_death([&](const participant_death&) { deaths.add(); });
  std::thread runner([&] { watch.run(stop.get_token()); });
  child("owner", [&](agent&) { all_.lock_and_tear(0), _exit(0); }).expect_exit(0);
  EXPECT_TRUE(deaths.wait_at_least(1));
  stop.request_stop();
  runner.join();
  stop = {};
  std::thread again([&] { watch.run(stop.get_token()); });
  child("owner", [&](agent&) { all_.lock_and_tear(1), _exit(0); }).expect_exit(0);
  EXPECT_TRUE(deaths.wait_at_least(2));
  stop.request_stop();
  again.join();
}

TEST_F(supervisor_process_test, a_child_that_a_repair_forks_comes_out_of_dispatch_with_an_error) {
  repair_.reset();
  pid_t forked = -1;
  const auto forks = on_owner_death(all_.seg(), "account", [&](const owner_death&) {
    all_.value().mend();
    forked = fork();
    return repaired;
  });
  watching watch(all_.seg());
  const pid_t pid = leave_holding(all_, 0);
  try {
    watch.until_dead(pid);
  } catch (const std::system_error& error) {
    if (forked == 0) _exit(error.code() == errc::forked_in_repair ? 0 : 1);
    throw;
  }
  if (forked == 0) _exit(2);
  int status = -1;
  EXPECT_EQ(waitpid(forked, &status, 0), forked);
  EXPECT_EQ(status, 0) << "1: another error, 2: none";
  EXPECT_NE(watch.find(pid), nullptr);
  expect_usable(all_);
}

TEST_F(supervisor_process_test, a_thread_that_ends_while_it_holds_is_told_by_its_tid) {
  watching watch(all_.seg(), sweeping_often());
  child owner("owner", [&](agent& parent) {
    pid_t tid = 0;
    std::thread([&] {
      tid = gettid();
      all_.lock_and_tear(3);
    }).join();
    parent.tell("tid " + std::to_string(tid));
    parent.await("end");
  });
  ASSERT_TRUE(watch.until([&] { return !watch.deaths.empty(); }));
  const participant_death& death = watch.deaths[0];
  EXPECT_EQ(death.pid, owner.pid());
  EXPECT_NE(death.tid, 0);
  EXPECT_NE(death.tid, death.pid);
  owner.wait_for("tid " + std::to_string(death.tid));
  ASSERT_EQ(death.recovered.size(), 1u);
  EXPECT_EQ(death.recovered[0].tid, death.tid);
  EXPECT_EQ(death.recovered[0].outcome, recovery_outcome::repaired);
  ASSERT_EQ(death.threads.size(), 1u);
  EXPECT_EQ(death.threads[0].in_hand.at(0).mutex_name, "account 3");
  owner.tell("end");
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  EXPECT_EQ(watch.deaths.size(), 2u);
  EXPECT_TRUE(watch.deaths[1].recovered.empty());
  owner.expect_exit(0);
}

TEST_F(supervisor_process_test, threads_that_end_in_order_are_no_news) {
  watching watch(all_.seg(), sweeping_often());
  for (int i = 0; i < 20; ++i) {
    std::thread([&] { auto x = all_[0].lock(); }).join();
    int looks = 0;
    watch.until([&] { return ++looks > 2; });
  }
  EXPECT_TRUE(watch.deaths.empty());
}

TEST_F(supervisor_process_test, a_sweep_out_of_range_is_refused) {
  for (const auto sweep : {milliseconds(0), milliseconds(-1), milliseconds(3'600'001)}) {
    supervisor_options options;
    options.sweep = sweep;
    EXPECT_THROW(supervisor(all_.seg(), options), std::system_error) << sweep.count();
  }
}

TEST_F(supervisor_process_test, leaves_no_descriptor_behind) {
  const auto before = holdings::of(getpid());
  for (int i = 0; i < 3; ++i) {
    watching watch(all_.seg());
    const pid_t pid = leave_holding(all_, 0);
    EXPECT_TRUE(watch.until_dead(pid));
    watching moved(all_.seg());
    supervisor other = std::move(*watch);
    other.dispatch();
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

}  // namespace
}  // namespace outlive::testing
