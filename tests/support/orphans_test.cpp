#include "support/orphans.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <unistd.h>

#include <cerrno>

#include "support/bounded.hpp"
#include "support/foreign_locks.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class orphans_test : public ::testing::TestWithParam<orphan_kind> {
 protected:
  /// The lock that gets lost, alone in its page.
  struct page {
    alignas(4096) std::byte bytes[4096];
    pthread_mutex_t& lock() { return *reinterpret_cast<pthread_mutex_t*>(bytes); }
  };

  void SetUp() override {
    if (const auto why = orphan_unavailable(GetParam())) GTEST_SKIP() << *why;
    init_robust(&memory_->lock());
  }

  void check_that_it_is_lost(pid_t owner) {
    const std::uint32_t word = futex_word(memory_->lock());
    EXPECT_EQ(word & FUTEX_OWNER_DIED, 0u) << "the kernel has marked it";
    ASSERT_NE(word & FUTEX_TID_MASK, 0u);
    EXPECT_TRUE(is_dead(static_cast<pid_t>(word & FUTEX_TID_MASK))) << "its owner lives";
    const auto tid = static_cast<pid_t>(word & FUTEX_TID_MASK);
    EXPECT_EQ(tid != owner, GetParam() == orphan_kind::exec_from_thread);
    EXPECT_EQ(pthread_mutex_trylock(&memory_->lock()), EBUSY);
  }

  shared_object<page> memory_;
};

TEST_P(orphans_test, the_owner_is_dead_and_the_lock_not_marked) {
  child owner("owner", [&](agent&) {
    die_leaving_orphans(GetParam(),
                        {.acquire = [&] { ASSERT_EQ(pthread_mutex_lock(&memory_->lock()), 0); },
                         .region = memory_->bytes});
  });
  expect_orphaned(owner, GetParam());
  check_that_it_is_lost(owner.pid());
}

INSTANTIATE_TEST_SUITE_P(every_kind, orphans_test, ::testing::ValuesIn(all_orphan_kinds),
                         [](const auto& test) { return name_of(test.param); });

/// All kinds but raw_fork, where the owner is a process that does not exist yet.
class orphans_held_before_test : public orphans_test {};

TEST_P(orphans_held_before_test, a_caller_that_holds_its_locks_already_loses_them) {
  child owner("owner",
              [&](agent&) {
                ASSERT_EQ(pthread_mutex_lock(&memory_->lock()), 0);
                die_leaving_orphans(GetParam(), {.region = memory_->bytes});
              },
              {.second_thread = GetParam() == orphan_kind::exec_from_thread});
  expect_orphaned(owner, GetParam());
  check_that_it_is_lost(owner.pid());
}

INSTANTIATE_TEST_SUITE_P(every_kind_but_raw_fork, orphans_held_before_test,
                         ::testing::Values(orphan_kind::too_many_held, orphan_kind::unmapped,
                                           orphan_kind::exec_from_thread, orphan_kind::list_unset,
                                           orphan_kind::process_mrelease, orphan_kind::read_only,
                                           orphan_kind::damaged_list),
                         [](const auto& test) { return name_of(test.param); });

TEST(orphans_exec_test, the_process_can_live_on_while_the_owner_is_gone) {
  foreign_locks lock(1);
  child owner("owner", [&](agent&) {
    die_leaving_orphans(orphan_kind::exec_from_thread,
                        {.acquire = [&] { lock.lock_all(); }, .live_on = true});
  });
  expect_orphaned(owner, orphan_kind::exec_from_thread, true);
  EXPECT_FALSE(is_dead(owner.pid()));
  const auto tid = static_cast<pid_t>(futex_word(lock[0]) & FUTEX_TID_MASK);
  EXPECT_NE(tid, owner.pid());
  EXPECT_TRUE(within(default_timeout(), [&] { return is_dead(tid); }));
  owner.kill();
  owner.expect_killed();
  EXPECT_EQ(lock.owned(), 1u);
}

/// The counter-check: without any of the eight, the lock is marked.
TEST(orphans_control_test, a_plain_death_is_no_orphan) {
  foreign_locks lock(1);
  child owner("owner", [&](agent&) {
    lock.lock_all();
    kill(getpid(), SIGKILL);
  });
  owner.expect_killed();
  EXPECT_EQ(lock.owned(), 0u);
  EXPECT_EQ(lock.marked(), 1u);
}

}  // namespace
}  // namespace outlive::testing
