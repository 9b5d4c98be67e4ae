#include "support/death.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>

#include "support/foreign_locks.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class death_test : public ::testing::TestWithParam<death> {};

/// What the next locker of a native robust mutex gets when its owner has died like this.
TEST_P(death_test, happens_and_the_kernel_notices_unless_it_cannot) {
  const death kind = GetParam();
  foreign_locks lock(1);
  shared_counter died;
  child victim("victim", [&](agent& parent) {
    run_then_die(kind, [&] {
      lock.lock_all();
      died.add();
    });
    parent.tell("thread gone");
    parent.pause_forever();
  });
  expect_end(victim, kind);
  EXPECT_EQ(died.load(), 1u);
  EXPECT_EQ(victim.ended(), ends_process(kind));
  // A closed pipe announces a death by exec, a moment before the new program runs.
  EXPECT_EQ(within(is_noticed(kind) ? default_timeout() : milliseconds(100),
                   [&] { return lock.marked() == 1; }),
            is_noticed(kind));
  EXPECT_EQ(lock.owned(), is_noticed(kind) ? 0u : 1u);
  if (ends_process(kind)) {
    EXPECT_TRUE(is_dead(victim.pid()));
  } else {
    EXPECT_FALSE(is_dead(victim.pid()));
    victim.kill();
    victim.expect_killed();
  }
}

INSTANTIATE_TEST_SUITE_P(every_kind, death_test, ::testing::ValuesIn(all_deaths),
                         [](const auto& test) { return name_of(test.param); });

TEST(foreign_locks_test, the_kernel_marks_2048_and_loses_the_rest) {
  foreign_locks locks;
  ASSERT_EQ(locks.size(), 2100u);
  EXPECT_EQ(locks.owned(), 0u);
  child victim("victim", [&](agent&) {
    locks.lock_all();
    EXPECT_EQ(locks.owned(), 2100u);
    die(death::sigkill);
  });
  victim.expect_killed();
  EXPECT_EQ(locks.marked(), 2048u);
  EXPECT_EQ(locks.owned(), 52u);
  EXPECT_EQ(pthread_mutex_trylock(&locks[0]), EBUSY) << "the oldest should be among the lost";
}

TEST(foreign_locks_test, they_can_be_given_back) {
  foreign_locks locks(10);
  locks.lock_all();
  EXPECT_EQ(locks.owned(), 10u);
  locks.unlock_all();
  EXPECT_EQ(locks.owned(), 0u);
  EXPECT_EQ(locks.marked(), 0u);
}

}  // namespace
}  // namespace outlive::testing
