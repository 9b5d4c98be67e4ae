// Orphans: the owner is dead, and the kernel has not marked the lock (eight kinds,
// support/orphans.hpp). A blocked lock() adopts them within its slices, and recover() at once; each
// time the repair runs once, and in the end no record is lost.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <vector>

#include "scenes/accounts.hpp"
#include "support/foreign_locks.hpp"
#include "support/leaks.hpp"
#include "support/orphans.hpp"

namespace outlive::testing {
namespace {

/// The native part of an account's mutex, for looking at it from below.
pthread_mutex_t& native(const accounts& all, unsigned index = 0) {
  return reinterpret_cast<pthread_mutex_t&>(all.mutex(index));
}

class orphan_kill_test : public ::testing::TestWithParam<orphan_kind> {
 protected:
  void SetUp() override {
    if (const auto why = orphan_unavailable(GetParam())) GTEST_SKIP() << *why;
  }

  orphan_hooks hooks() {
    return {.acquire = [this] { all_.lock_and_tear(); },
            .region = {static_cast<std::byte*>(const_cast<void*>(all_.seg().base())),
                       all_.seg().size_bytes()}};
  }

  /// Leaves account 0 torn, and its mutex an orphan.
  void leave_an_orphan() {
    child owner("owner", [&](agent&) { die_leaving_orphans(GetParam(), hooks()); });
    expect_orphaned(owner, GetParam());
    check_that_it_is_one();
  }

  void check_that_it_is_one() {
    ASSERT_FALSE(all_.value().whole());
    const std::uint32_t word = futex_word(native(all_));
    ASSERT_NE(word & FUTEX_TID_MASK, 0u) << "no orphan";
    ASSERT_EQ(word & FUTEX_OWNER_DIED, 0u) << "the kernel has marked it";
  }

  accounts all_;
  repair_registration repair_ = all_.mended_here();
};

TEST_P(orphan_kill_test, lock_adopts_it_and_repairs_once) {
  leave_an_orphan();
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_P(orphan_kill_test, a_timed_lock_adopts_it_at_its_deadline) {
  leave_an_orphan();
  // Shorter than a slice: one look is taken all the same.
  ASSERT_TRUE(all_.mutex().try_lock_for(milliseconds(20))) << all_.who_holds_what();
  EXPECT_TRUE(all_.mutex().recovered());
  EXPECT_TRUE(all_.value().whole());
  all_.mutex().unlock();
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_P(orphan_kill_test, recover_adopts_it_and_says_so) {
  leave_an_orphan();
  const auto lines = recover(all_.seg());
  ASSERT_EQ(lines.size(), 1u) << all_.who_holds_what();
  EXPECT_EQ(lines[0].mutex, &all_.mutex());
  EXPECT_EQ(lines[0].mutex_name, "account 0");
  EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired);
  EXPECT_TRUE(lines[0].adopted);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  EXPECT_TRUE(recover(all_.seg()).empty());
}

TEST_P(orphan_kill_test, of_eight_lockers_blocked_before_the_death_one_repairs) {
  shared_counter waiting, entered, recovered;
  shared_value<std::uint32_t> locked;
  child owner("owner", [&](agent& parent) {
    orphan_hooks how = hooks();
    how.acquire = [&] {
      all_.lock_and_tear();
      locked.store(1);
      // they are on their way to sleep: deaths that come before are met all the same
      waiting.wait_equal(8);
    };
    die_leaving_orphans(GetParam(), how);
    (void)parent;
  });
  ASSERT_TRUE(locked.wait_equal(1));
  std::vector<std::unique_ptr<child>> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(std::make_unique<child>("waiter " + std::to_string(i), [&](agent&) {
      waiting.add();
      auto x = all_[0].lock();
      EXPECT_TRUE(x->whole());
      recovered.add(x.recovered());
      entered.add();
    }));
  }
  expect_orphaned(owner, GetParam());
  ASSERT_TRUE(entered.wait_equal(8)) << entered.load() << " of 8 entered\n"
                                     << all_.who_holds_what();
  for (const auto& each : waiters) each->expect_exit(0);
  EXPECT_EQ(recovered.load(), 1u);
  EXPECT_EQ(all_.repairs(), 1u);
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

// A child by raw clone has no robust list of its own, and outlive refuses it (below): its orphan
// cannot be made through outlive.
INSTANTIATE_TEST_SUITE_P(every_kind_but_raw_fork, orphan_kill_test,
                         ::testing::Values(orphan_kind::too_many_held, orphan_kind::unmapped,
                                           orphan_kind::exec_from_thread, orphan_kind::list_unset,
                                           orphan_kind::process_mrelease, orphan_kind::read_only,
                                           orphan_kind::damaged_list),
                         [](const auto& test) { return name_of(test.param); });

class special_orphans_kill_test : public ::testing::Test {
 protected:
  accounts all_{2};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(special_orphans_kill_test, a_child_by_raw_clone_is_refused_before_it_can_make_one) {
  shared_value<int> error_value;
  child owner("owner", [&](agent&) {
    die_leaving_orphans(orphan_kind::raw_fork, {.acquire = [&] {
                          std::error_code error;
                          all_.mutex().lock(error);
                          error_value.store(error.value());
                        }});
  });
  expect_orphaned(owner, orphan_kind::raw_fork);
  EXPECT_EQ(error_value.load(), static_cast<int>(errc::no_robust_list));
  expect_usable(all_);
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(special_orphans_kill_test, a_word_that_no_record_stands_behind_is_adopted_without_a_repair) {
  // Natively locked by a child by raw clone, with its parent's TID: both are dead, and nobody was
  // inside in outlive's sense.
  child owner("owner", [&](agent&) {
    die_leaving_orphans(orphan_kind::raw_fork,
                        {.acquire = [&] { pthread_mutex_lock(&native(all_)); }});
  });
  expect_orphaned(owner, orphan_kind::raw_fork);
  ASSERT_NE(futex_word(native(all_)) & FUTEX_TID_MASK, 0u);
  expect_survivor(all_, 0, false);
  EXPECT_EQ(all_.repairs(), 0u);
  expect_usable(all_);
}

TEST_F(special_orphans_kill_test, the_word_of_a_living_stranger_is_not_adopted) {
  // A thread without a record holds the native mutex: it lives, so nobody may have the lock.
  child stranger("stranger", [&](agent& parent) {
    pthread_mutex_lock(&native(all_));
    parent.tell("inside");
    parent.await("leave");
    pthread_mutex_unlock(&native(all_));
  });
  stranger.wait_for("inside");
  EXPECT_FALSE(all_.mutex().try_lock_for(milliseconds(600)));  // more than two slices
  stranger.tell("leave");
  stranger.expect_exit(0);
  expect_usable(all_);
}

TEST_F(special_orphans_kill_test, exec_from_a_thread_orphans_while_the_process_lives_on) {
  child owner("owner", [&](agent&) {
    die_leaving_orphans(orphan_kind::exec_from_thread,
                        {.acquire = [&] { all_.lock_and_tear(); }, .live_on = true});
  });
  expect_orphaned(owner, orphan_kind::exec_from_thread, true);
  EXPECT_FALSE(owner.ended());
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  EXPECT_FALSE(owner.ended());
}

TEST_F(special_orphans_kill_test,
       below_2100_robust_mutexes_of_foreign_code_the_lock_is_lost_and_above_them_not) {
  foreign_locks foreign(2100);
  child owner("owner", [&](agent&) {
    all_.lock_and_tear(0);
    foreign.lock_all();
    all_.lock_and_tear(1);
    kill(getpid(), SIGKILL);
  });
  owner.expect_killed();
  EXPECT_EQ(foreign.marked(), 2047u);  // 2,048, and one of them was ours
  EXPECT_NE(futex_word(native(all_, 0)) & FUTEX_TID_MASK, 0u);
  EXPECT_NE(futex_word(native(all_, 1)) & FUTEX_OWNER_DIED, 0u);
  expect_survivor(all_, 1, true);
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(0), 1u);
  EXPECT_EQ(all_.repairs(1), 1u);
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(special_orphans_kill_test, an_orphaned_liveness_mutex_alone_is_given_back_by_recover) {
  // The locks were marked; the liveness mutex, the oldest of all, was not.
  foreign_locks foreign(2047);
  child owner("owner", [&](agent&) {
    note(all_.seg(), 1);
    foreign.lock_all();
    all_.lock_and_tear();
    kill(getpid(), SIGKILL);
  });
  owner.expect_killed();
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_EQ(all_.seg().threads_in_use(), 2u) << "the case was not made";
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(special_orphans_kill_test, an_orphaned_heir_is_followed_by_another) {
  // The heir dies in its repair, and the kernel does not mark the lock: the second death is adopted
  // as well.
  kill_a_holder(all_);
  child heir("heir", [&](agent&) {
    const auto dying = on_owner_death(all_.mutex(), [](const owner_death&) -> repair_result {
      die_leaving_orphans(orphan_kind::list_unset, {});
    });
    all_.mutex().lock();
  });
  expect_orphaned(heir, orphan_kind::list_unset);
  ASSERT_NE(futex_word(native(all_)) & FUTEX_TID_MASK, 0u);
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

}  // namespace
}  // namespace outlive::testing
