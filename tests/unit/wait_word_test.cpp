// Notifications wake sleepers by themselves. Waiters of the library look again after each slice,
// and would hide a wake-up that never comes: the sleepers here do not.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "companions/wait_word.hpp"
#include "support/bounded.hpp"
#include "support/leaks.hpp"
#include "sys/futex.hpp"

namespace outlive {
namespace {

using namespace std::chrono_literals;
using testing::within;

class wait_word_test : public ::testing::Test {
 protected:
  /// A thread that sleeps on the word until somebody wakes it, and no shorter than the case may
  /// take. Returns when it is asleep.
  void sleep_on(detail::shared_u32& word) {
    std::atomic<pid_t> tid{0};
    sleepers_.emplace_back([&word, &tid, this] {
      const std::uint32_t seen = detail::wait_word::mark(word);
      tid = static_cast<pid_t>(syscall(SYS_gettid));
      detail::futex_wait(word, seen, 1h);
      ++woken_;
    });
    ASSERT_TRUE(within(testing::default_timeout(),
                       [&] { return tid != 0 && testing::task_state(tid) == 'S'; }));
  }
  /// Fails, and lets the sleepers go, where they were not woken.
  void expect_woken(int count, detail::shared_u32& word) {
    EXPECT_TRUE(within(testing::default_timeout(), [&] { return woken_ >= count; }))
        << woken_ << " of " << count << " were woken";
    word.fetch_add(2);
    detail::futex_wake(word, 1000);
    for (auto& each : sleepers_) each.join();
  }

  segment seg_ = segment::anonymous();
  robust_condition_variable& changed_ =
      seg_.find_or_construct<robust_condition_variable>("changed");
  permit_pool<8>& pool_ = seg_.find_or_construct<permit_pool<8>>("pool", 1u);
  // Both begin with the word.
  detail::shared_u32& of_condition_ = reinterpret_cast<detail::shared_u32&>(changed_);
  detail::shared_u32& of_pool_ = reinterpret_cast<detail::shared_u32&>(pool_);
  std::vector<std::thread> sleepers_;
  std::atomic<int> woken_{0};
};

TEST_F(wait_word_test, notify_one_wakes_a_sleeper) {
  sleep_on(of_condition_);
  changed_.notify_one();
  expect_woken(1, of_condition_);
}

TEST_F(wait_word_test, as_many_notifications_as_sleepers_wake_them_all) {
  for (int i = 0; i < 3; ++i) sleep_on(of_condition_);
  for (int i = 0; i < 3; ++i) changed_.notify_one();
  expect_woken(3, of_condition_);
}

TEST_F(wait_word_test, notify_all_wakes_all_sleepers) {
  for (int i = 0; i < 3; ++i) sleep_on(of_condition_);
  changed_.notify_all();
  expect_woken(3, of_condition_);
}

TEST_F(wait_word_test, a_permit_that_is_given_back_wakes_a_sleeper) {
  permit mine = pool_.acquire();
  sleep_on(of_pool_);
  mine.release();
  expect_woken(1, of_pool_);
}

// Whoever changes what is waited for between a look and the mark sees no mark: so the look that
// counts comes after it.
TEST_F(wait_word_test, a_waiter_looks_once_it_has_marked_the_word) {
  int looks = 0;
  const auto look = [&](bool) {
    ++looks;
    EXPECT_NE(of_pool_ & detail::wait_word::maybe_waiters, 0u);
    return false;
  };
  EXPECT_FALSE(detail::wait_word::until(of_pool_, detail::no_wait, look));
  EXPECT_EQ(looks, 1);
}

TEST_F(wait_word_test, without_a_waiter_a_notification_changes_nothing) {
  changed_.notify_one();
  changed_.notify_all();
  EXPECT_EQ(of_condition_, 0u);
}

TEST_F(wait_word_test, a_bit_that_nobody_needs_any_more_is_cleared_by_the_next_notification) {
  detail::wait_word::mark(of_condition_);
  changed_.notify_one();
  EXPECT_EQ(of_condition_ & detail::wait_word::maybe_waiters, 0u);
  const std::uint32_t before = of_condition_;
  changed_.notify_one();
  EXPECT_EQ(of_condition_, before);
}

TEST_F(wait_word_test, the_bit_stays_while_another_sleeps) {
  sleep_on(of_condition_);
  sleep_on(of_condition_);
  changed_.notify_one();
  EXPECT_TRUE(within(testing::default_timeout(), [&] { return woken_ == 1; }));
  EXPECT_NE(of_condition_ & detail::wait_word::maybe_waiters, 0u);
  changed_.notify_one();
  expect_woken(2, of_condition_);
}

}  // namespace
}  // namespace outlive
