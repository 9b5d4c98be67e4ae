#include "support/tid_reuse.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

#include "support/foreign_locks.hpp"

namespace outlive::testing {
namespace {

class tid_reuse_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = tid_choice_unavailable()) GTEST_SKIP() << *why;
  }

  static pid_t some_dead_tid() {
    child gone("gone", [](agent&) {});
    gone.wait();
    return gone.pid();
  }
};

TEST_F(tid_reuse_test, a_dead_ones_tid_is_given_to_a_stranger) {
  const pid_t tid = some_dead_tid();
  child stranger(
      "stranger",
      [&](agent& parent) {
        EXPECT_EQ(getpid(), tid);
        EXPECT_EQ(gettid(), tid);
        parent.tell("here");
      },
      with_tid(tid));
  EXPECT_EQ(stranger.pid(), tid);
  stranger.wait_for("here");
  stranger.expect_exit(0);
}

TEST_F(tid_reuse_test, glibc_in_the_child_locks_with_the_new_tid_and_its_death_is_noticed) {
  const pid_t tid = some_dead_tid();
  foreign_locks lock(1);
  child stranger(
      "stranger",
      [&](agent& parent) {
        lock.lock_all();
        parent.tell("locked");
        parent.pause_forever();
      },
      with_tid(tid));
  stranger.wait_for("locked");
  EXPECT_EQ(futex_word(lock[0]) & FUTEX_TID_MASK, static_cast<unsigned>(tid));
  stranger.kill();
  stranger.expect_killed();
  EXPECT_EQ(lock.marked(), 1u);
}

TEST_F(tid_reuse_test, a_tid_in_use_is_refused) {
  EXPECT_THROW(child(
                   "twin", [](agent&) {}, with_tid(getpid())),
               std::system_error);
}

TEST_F(tid_reuse_test, a_holder_of_robust_mutexes_is_refused) {
  foreign_locks lock(1);
  lock.lock_all();
  EXPECT_THROW(fork_with_tid(some_dead_tid()), std::logic_error);
  lock.unlock_all();
}

}  // namespace
}  // namespace outlive::testing
