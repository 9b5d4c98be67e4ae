// Waiters are killed: they leave no trace in the lock, and their records are free again.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <vector>

#include "scenes/accounts.hpp"
#include "support/foreign_locks.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

using children = std::vector<std::unique_ptr<child>>;

class waiter_kill_test : public ::testing::Test {
 protected:
  /// They tell "entered" when they have the lock, and give it back then.
  children waiters(unsigned count) {
    children made;
    for (unsigned i = 0; i < count; ++i) {
      made.push_back(std::make_unique<child>("waiter " + std::to_string(i), [this](agent& parent) {
        parent.tell("waits");
        auto x = all_[0].lock();
        EXPECT_TRUE(x->whole());
        x.unlock();
        parent.tell("entered");
      }));
    }
    for (const auto& each : made) {
      each->wait_for("waits");
      EXPECT_TRUE(within(default_timeout(), [&] { return task_state(each->pid()) == 'S'; }));
    }
    return made;
  }

  child& holder() {
    holder_ = std::make_unique<child>("holder", [this](agent& parent) {
      all_.lock_and_tear();
      parent.tell("inside");
      parent.await("leave");
      all_.value().mend();
      all_.mutex().unlock();
    });
    holder_->wait_for("inside");
    return *holder_;
  }

  accounts all_;
  repair_registration repair_ = all_.mended_here();
  std::unique_ptr<child> holder_;
};

TEST_F(waiter_kill_test, eight_waiters_killed_and_eight_records_are_free_again) {
  child& owner = holder();
  children all_waiters = waiters(8);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u + 1 + 8);
  for (const auto& each : all_waiters) each->kill();
  for (const auto& each : all_waiters) each->expect_killed();
  EXPECT_EQ(all_.seg().threads_in_use(), 1u + 1) << all_.who_holds_what();
  owner.tell("leave");
  owner.expect_exit(0);
  expect_usable(all_);
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(waiter_kill_test, records_of_killed_waiters_are_used_again) {
  // As many rounds as there are records, and some: a record lost a round would end in
  // too_many_threads.
  child& owner = holder();
  for (unsigned round = 0; round < all_.seg().options().threads / 4; ++round) {
    children some = waiters(6);
    for (const auto& each : some) each->kill();
    for (const auto& each : some) each->expect_killed();
  }
  EXPECT_EQ(all_.seg().threads_in_use(), 1u + 1) << all_.who_holds_what();
  owner.tell("leave");
  owner.expect_exit(0);
  expect_usable(all_);
}

TEST_F(waiter_kill_test, with_half_of_the_waiters_killed_the_others_get_the_lock) {
  child& owner = holder();
  children all_waiters = waiters(8);
  for (unsigned i = 0; i < 8; i += 2) all_waiters[i]->kill();
  for (unsigned i = 0; i < 8; i += 2) all_waiters[i]->expect_killed();
  owner.tell("leave");
  owner.expect_exit(0);
  for (unsigned i = 1; i < 8; i += 2) {
    all_waiters[i]->wait_for("entered");
    all_waiters[i]->expect_exit(0);
  }
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(waiter_kill_test, owner_and_half_of_the_waiters_killed_together_one_of_the_others_repairs) {
  child& owner = holder();
  children all_waiters = waiters(8);
  for (unsigned i = 0; i < 8; i += 2) all_waiters[i]->kill();
  owner.kill();
  for (unsigned i = 0; i < 8; i += 2) all_waiters[i]->expect_killed();
  owner.expect_killed();
  for (unsigned i = 1; i < 8; i += 2) {
    all_waiters[i]->wait_for("entered");
    all_waiters[i]->expect_exit(0);
  }
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

/// With a priority above all others on one processor, whoever is woken there cannot run before the
/// caller is done.
class alone_on_processor {
 public:
  static bool available() {
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof before, &before) != 0) return false;
    const sched_param high{1}, plain{0};
    const bool can = sched_setscheduler(0, SCHED_FIFO, &high) == 0;
    if (can) sched_setscheduler(0, SCHED_OTHER, &plain);
    return can;
  }
  static void pin() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  }
  static void rise() {
    const sched_param high{1};
    ASSERT_EQ(sched_setscheduler(0, SCHED_FIFO, &high), 0);
  }
};

// Hazard A16: the unlocker wakes the first waiter and nobody else. If that one is killed before it
// runs, and a thread that just came by has the lock (without the mark that somebody waits), its
// unlock wakes nobody: natively the second waiter sleeps for ever on a free lock.
TEST_F(waiter_kill_test, a_woken_waiter_killed_and_a_barger_leave_the_second_waiter_not_asleep) {
  if (!alone_on_processor::available()) GTEST_SKIP() << "no real-time priority to be had here";
  for (int trial = 0; trial < 5; ++trial) {
    shared_value<pid_t> first_pid;
    child owner("owner and barger", [&](agent& parent) {
      alone_on_processor::pin();
      all_.mutex().lock();
      parent.tell("inside");
      parent.await("go");
      alone_on_processor::rise();
      all_.mutex().unlock();  // wakes the first waiter, which has no processor to run on
      const bool barged = all_.mutex().try_lock();
      kill(first_pid.load(), SIGKILL);
      EXPECT_TRUE(within(default_timeout(), [&] { return is_dead(first_pid.load()); }));
      EXPECT_TRUE(barged);
      if (barged) all_.mutex().unlock();  // nobody is marked as waiting
    });
    owner.wait_for("inside");
    child first("first waiter", [&](agent& parent) {
      alone_on_processor::pin();
      parent.tell("waits");
      all_.mutex().lock();
      parent.tell("entered");
      parent.pause_forever();
    });
    first_pid.store(first.pid());
    first.wait_for("waits");
    ASSERT_TRUE(within(default_timeout(), [&] { return task_state(first.pid()) == 'S'; }));
    children second = waiters(1);
    owner.tell("go");
    owner.expect_exit(0);
    first.expect_killed();
    second[0]->wait_for("entered");
    second[0]->expect_exit(0);
  }
  EXPECT_EQ(all_.repairs(), 0u);
  expect_usable(all_);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

// The kernel's side of that hazard, without outlive: the second waiter of a plain robust mutex is
// not woken. Where a kernel does wake it, the test above proves less, and this one says so.
TEST_F(waiter_kill_test, natively_the_second_waiter_would_sleep) {
  if (!alone_on_processor::available()) GTEST_SKIP() << "no real-time priority to be had here";
  foreign_locks native(1);
  shared_value<pid_t> first_pid;
  const auto waiter = [&](agent& parent) {
    parent.tell("waits");
    pthread_mutex_lock(&native[0]);
    parent.tell("entered");
    pthread_mutex_unlock(&native[0]);
  };
  child owner("owner and barger", [&](agent& parent) {
    alone_on_processor::pin();
    pthread_mutex_lock(&native[0]);
    parent.tell("inside");
    parent.await("go");
    alone_on_processor::rise();
    pthread_mutex_unlock(&native[0]);
    EXPECT_EQ(pthread_mutex_trylock(&native[0]), 0);
    kill(first_pid.load(), SIGKILL);
    EXPECT_TRUE(within(default_timeout(), [&] { return is_dead(first_pid.load()); }));
    pthread_mutex_unlock(&native[0]);
  });
  owner.wait_for("inside");
  child first("first waiter", [&](agent& parent) {
    alone_on_processor::pin();
    waiter(parent);
  });
  first_pid.store(first.pid());
  first.wait_for("waits");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(first.pid()) == 'S'; }));
  child second("second waiter", waiter);
  second.wait_for("waits");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(second.pid()) == 'S'; }));
  owner.tell("go");
  owner.expect_exit(0);
  first.expect_killed();
  EXPECT_EQ(futex_word(native[0]), 0u) << "the lock is free";
  try {
    second.wait_for("entered", milliseconds(1000));
    GTEST_SKIP() << "this kernel wakes the second waiter";
  } catch (const timed_out&) {
    EXPECT_EQ(task_state(second.pid()), 'S');
  }
}

}  // namespace
}  // namespace outlive::testing
