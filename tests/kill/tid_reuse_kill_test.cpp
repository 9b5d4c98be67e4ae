// The kernel gives a dead owner's thread id to somebody else.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "scenes/accounts.hpp"
#include "support/foreign_locks.hpp"
#include "support/leaks.hpp"
#include "support/orphans.hpp"
#include "support/tid_reuse.hpp"

namespace outlive::testing {
namespace {

/// Clock ticks since boot: what a process that starts now gets as its start time.
long ticks_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const long hz = sysconf(_SC_CLK_TCK);
  return now.tv_sec * hz + now.tv_nsec / (1'000'000'000 / hz);
}

class tid_reuse_kill_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = tid_choice_unavailable()) GTEST_SKIP() << *why;
  }

  /// A process that tears the account and leaves the mutex an orphan; returns the TID that stands
  /// in its word.
  pid_t leave_an_orphan(orphan_kind kind = orphan_kind::list_unset) {
    child owner("owner", [&](agent&) {
      die_leaving_orphans(kind, {.acquire = [&] { all_.lock_and_tear(); }});
    });
    expect_orphaned(owner, kind);
    const long began = ticks_now();
    // The next one must not have the owner's start time; the clock of start times ticks every 10
    // ms.
    EXPECT_TRUE(within(default_timeout(), [&] { return ticks_now() > began; }));
    const std::uint32_t tid =
        futex_word(reinterpret_cast<pthread_mutex_t&>(all_.mutex())) & FUTEX_TID_MASK;
    EXPECT_NE(tid, 0u);
    return static_cast<pid_t>(tid);
  }

  // fork_with_tid is not for holders of robust mutexes
  accounts all_{1, small_segment(), accounts::record::none};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(tid_reuse_kill_test, lock_of_an_orphan_with_the_callers_own_tid_is_no_deadlock) {
  const pid_t tid = leave_an_orphan();
  child stranger(
      "stranger",
      [&](agent& parent) {
        ASSERT_EQ(gettid(), tid);
        std::error_code error;
        all_.mutex().lock(error);
        EXPECT_FALSE(error) << error.message();
        EXPECT_TRUE(all_.mutex().recovered());
        EXPECT_TRUE(all_.value().whole());
        if (!error) all_.mutex().unlock();
        parent.tell("done");
      },
      with_tid(tid));
  stranger.wait_for("done");
  stranger.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(tid_reuse_kill_test, a_thread_with_a_record_already_meets_its_own_tid_in_an_orphan) {
  // On the fast path, which has a record, as on the slow one above.
  const pid_t tid = leave_an_orphan();
  child stranger(
      "stranger",
      [&](agent& parent) {
        note(all_.seg(), 1);
        EXPECT_TRUE(all_.mutex().try_lock_for(default_timeout()));
        EXPECT_TRUE(all_.mutex().recovered());
        all_.mutex().unlock();
        parent.tell("done");
      },
      with_tid(tid));
  stranger.wait_for("done");
  stranger.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(tid_reuse_kill_test, try_lock_of_an_orphan_with_the_callers_own_tid_is_no_deadlock) {
  const pid_t tid = leave_an_orphan();
  child stranger(
      "stranger",
      [&](agent& parent) {
        std::error_code error;
        const bool got = all_.mutex().try_lock(error);
        EXPECT_FALSE(error) << error.message();
        if (got) all_.mutex().unlock();
        parent.tell("done");
      },
      with_tid(tid));
  stranger.wait_for("done");
  stranger.expect_exit(0);
  expect_survivor(all_, 0, all_.repairs() == 0);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(tid_reuse_kill_test, recover_by_a_thread_with_the_dead_owners_tid) {
  const pid_t tid = leave_an_orphan();
  child stranger(
      "stranger",
      [&](agent& parent) {
        const auto lines = recover(all_.seg());
        ASSERT_EQ(lines.size(), 1u);
        EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired) << to_string(lines[0].outcome);
        EXPECT_TRUE(lines[0].adopted);
        parent.tell("done");
      },
      with_tid(tid));
  stranger.wait_for("done");
  stranger.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(tid_reuse_kill_test, a_living_stranger_with_the_dead_owners_tid_does_not_keep_the_lock) {
  const pid_t tid = leave_an_orphan();
  child stranger(
      "stranger",
      [](agent& parent) {
        parent.tell("here");
        parent.pause_forever();
      },
      with_tid(tid));
  stranger.wait_for("here");
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_FALSE(stranger.ended());
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(tid_reuse_kill_test, a_living_participant_with_the_dead_owners_tid_does_not_keep_the_lock) {
  // The stranger uses the segment, too: now two records have that TID, one dead and one alive.
  const pid_t tid = leave_an_orphan();
  child stranger(
      "stranger",
      [&](agent& parent) {
        note(all_.seg(), 1);
        parent.tell("here");
        parent.pause_forever();
      },
      with_tid(tid));
  stranger.wait_for("here");
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_FALSE(stranger.ended());
  stranger.kill();
  stranger.expect_killed();
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(tid_reuse_kill_test, a_stranger_that_waits_for_another_owner_is_told_nothing_wrong) {
  // A marked death and a reused TID: the stranger inherits like anybody else.
  const pid_t dead = kill_a_holder(all_);
  child stranger(
      "stranger",
      [&](agent& parent) {
        auto x = all_[0].lock();
        EXPECT_TRUE(x.recovered());
        parent.tell("inside");
        parent.await("leave");
      },
      with_tid(dead));
  stranger.wait_for("inside");
  EXPECT_FALSE(all_.mutex().try_lock_for(milliseconds(300)))
      << "a living holder with a dead owner's TID was taken for dead";
  stranger.tell("leave");
  stranger.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

}  // namespace
}  // namespace outlive::testing
