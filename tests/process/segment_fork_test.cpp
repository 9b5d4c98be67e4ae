// fork: the child has the mapping, none of the parent's locks, and a thread record of its own.
#include <outlive/guarded.hpp>
#include <outlive/note.hpp>
#include <outlive/repair.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/leaks.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct segment_fork : ::testing::Test {
  segment seg = segment::anonymous();
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  robust_mutex& other = seg.find_or_construct<robust_mutex>("other", "class");
};

TEST_F(segment_fork, a_child_that_inherits_the_segment_shares_it) {
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  for (int i = 0; i < 3; ++i) {
    child("child", [&](agent&) { ++*count.lock(); }).expect_exit();
  }
  EXPECT_EQ(*count.lock(), 3);
}

TEST_F(segment_fork, a_child_has_a_record_of_its_own_and_gives_it_back) {
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(seg.threads_in_use(), 1U);
  child forked("child", [&](agent& parent) {
    EXPECT_EQ(seg.threads_in_use(), 1U);
    EXPECT_EQ(lock_code(mutex), std::error_code());
    EXPECT_EQ(seg.threads_in_use(), 2U);
    parent.tell("locked");
    parent.await("go");
  });
  forked.wait_for("locked");
  EXPECT_EQ(seg.threads_in_use(), 2U);
  forked.tell("go");
  forked.expect_exit();
  EXPECT_EQ(seg.threads_in_use(), 1U);
}

TEST_F(segment_fork, a_child_does_not_hold_what_its_parent_holds) {
  mutex.lock();
  child("child", [&](agent&) {
    expect_error(errc::not_owner, {"mutex \"mutex\" of class \"class\"", "does not hold the mutex"},
                 [&] { mutex.unlock(); });
    std::error_code error;
    mutex.unlock(error);
    EXPECT_EQ(error, errc::not_owner);
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_FALSE(mutex.recovered());
    EXPECT_FALSE(mutex.try_lock_for(milliseconds(10)));
    // And after it has a record of its own, still.
    EXPECT_EQ(lock_code(other), std::error_code());
    mutex.unlock(error);
    EXPECT_EQ(error, errc::not_owner);
    EXPECT_FALSE(mutex.try_lock());
  }).expect_exit();
  elsewhere([&] { EXPECT_FALSE(mutex.try_lock()); });
  mutex.unlock();
  EXPECT_EQ(lock_code(mutex), std::error_code());
}

TEST_F(segment_fork, a_childs_end_is_no_death_of_its_parents_locks) {
  int runs = 0;
  const auto repair = on_owner_death(seg, "class", [&](const owner_death&) {
    ++runs;
    return repaired;
  });
  mutex.lock();
  other.lock();
  child("child", [](agent& parent) { parent.pause_forever(); }).kill();
  child("child", [](agent&) {}).expect_exit();
  elsewhere([&] { EXPECT_FALSE(mutex.try_lock() || other.try_lock()); });
  other.unlock();
  mutex.unlock();
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(lock_code(other), std::error_code());
  EXPECT_EQ(runs, 0);
}

TEST_F(segment_fork, guards_that_a_child_inherits_give_nothing_back) {
  auto& account = seg.find_or_construct<guarded<int>>("account", "account", 5);
  std::optional<guarded<int>::guard> hold = account.lock();
  child("child", [&](agent&) {
    hold.reset();
    EXPECT_FALSE(account.try_lock());
  }).expect_exit();
  elsewhere([&] { EXPECT_FALSE(account.try_lock()); });
  EXPECT_EQ(**hold, 5);
}

TEST_F(segment_fork, a_child_has_its_parents_registrations) {
  shared_counter runs;
  const auto repair = on_owner_death(seg, "class", [&](const owner_death&) {
    runs.add();
    return repaired;
  });
  die_holding(mutex);
  child("child", [&](agent&) { EXPECT_EQ(lock_code(mutex), std::error_code()); }).expect_exit();
  EXPECT_EQ(runs.load(), 1U);
}

TEST_F(segment_fork, a_childs_note_and_identity_are_its_own) {
  note(seg, 7);
  shared_value<pid_t> told;
  const auto repair = on_owner_death(seg, "class", [&](const owner_death& death) {
    told.store(death.owner().pid);
    EXPECT_EQ(death.owner().note, 0U);
    return repaired;
  });
  child victim("victim", [&](agent& parent) {
    mutex.lock();
    parent.tell("locked");
    parent.pause_forever();
  });
  victim.wait_for("locked");
  victim.kill();
  victim.expect_killed();
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(told.load(), victim.pid());
}

TEST_F(segment_fork, grandchildren_work_as_children_do) {
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  mutex.lock();
  const std::function<void(int)> descend = [&](int generations) {
    EXPECT_FALSE(mutex.try_lock());
    ++*count.lock();
    if (generations == 0) return;
    const auto hold = count.lock();
    child("descendant", [&](agent&) {
      std::error_code error;
      count.mutex().unlock(error);
      EXPECT_EQ(error, errc::not_owner);
      EXPECT_FALSE(count.try_lock());
    }).expect_exit();
  };
  child("child", [&](agent&) {
    descend(1);
    child("grandchild", [&](agent&) {
      descend(1);
      child("great-grandchild", [&](agent&) { descend(0); }).expect_exit();
    }).expect_exit();
  }).expect_exit();
  mutex.unlock();
  EXPECT_EQ(*count.lock(), 3);
}

TEST_F(segment_fork, a_fork_while_other_threads_use_everything_leaves_a_child_that_works) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP()
      << "gcc 12's AddressSanitizer does not prepare its allocator for a fork: the child may "
         "find it locked for ever";
#endif
  std::atomic<bool> stop{false};
  std::vector<std::thread> all;
  for (int i = 0; i < 3; ++i) {
    all.emplace_back([&, i] {
      const std::string mine = "object " + std::to_string(i);
      while (!stop) {
        EXPECT_EQ(lock_code(mutex), std::error_code());
        segment extra = segment::anonymous(few_of_everything());
        const auto kept = on_owner_death(extra, "class", always_consistent);
        EXPECT_EQ(lock_code(extra.find_or_construct<robust_mutex>("mutex", "class")),
                  std::error_code());
      }
    });
  }
  for (int round = 0; round < 30; ++round) {
    child("child", [&](agent&) {
      // Its threads are gone in the child, and may have had any of the library's own locks.
      segment extra = segment::anonymous(few_of_everything());
      const auto kept = on_owner_death(extra, "class", always_consistent);
      EXPECT_EQ(lock_code(extra.find_or_construct<robust_mutex>("mutex", "class")),
                std::error_code());
      EXPECT_EQ(lock_code(other), std::error_code());
      EXPECT_TRUE(mutex.try_lock_for(default_timeout()));
      mutex.unlock();
    }).expect_exit();
  }
  stop = true;
  for (auto& each : all) each.join();
}

TEST_F(segment_fork, a_child_may_close_what_it_inherited) {
  const auto forked = [&](agent&) {
    const auto before = holdings::of(getpid()).mappings_of("memfd:outlive");
    { segment mine = std::move(seg); }
    EXPECT_EQ(holdings::of(getpid()).mappings_of("memfd:outlive"), before - 1);
  };
  child("child", forked).expect_exit();
  EXPECT_EQ(lock_code(mutex), std::error_code());
}

}  // namespace
}  // namespace outlive::testing
