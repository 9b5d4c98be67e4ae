// The condition variable among the threads of one process: what the standard promises, and what it
// refuses.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <mutex>
#include <new>
#include <stop_token>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "support/bounded.hpp"

namespace outlive {
namespace {

using testing::within;
using namespace std::chrono_literals;

constexpr auto patience = 60s;  // for what happens at once unless something is broken

struct mailbox {
  bool full = false;
  int letters = 0;
};

class robust_condition_variable_test : public ::testing::Test {
 protected:
  /// A thread that waits for the box to be full. Returns when it sleeps, or is about to: its mutex
  /// is free.
  std::thread receiver() {
    std::thread made([this] {
      auto x = box_.lock();
      ++waiting_;
      EXPECT_TRUE(ready_.wait_for(x, patience, [&] { return x->full; }));
      ++woken_;
    });
    EXPECT_TRUE(within(testing::default_timeout(), [this, before = waiting_.load()] {
      return waiting_.load() > before || waiting_.load() > 0;
    }));
    return made;
  }
  void fill() {
    auto x = box_.lock();
    x->full = true;
  }

  segment seg_ = segment::anonymous();
  guarded<mailbox>& box_ = seg_.find_or_construct<guarded<mailbox>>("box", "mailbox");
  robust_condition_variable& ready_ = seg_.find_or_construct<robust_condition_variable>("ready");
  std::atomic<int> waiting_{0};
  std::atomic<int> woken_{0};
};

TEST_F(robust_condition_variable_test, a_true_predicate_is_not_waited_for) {
  auto x = box_.lock();
  int asked = 0;
  ready_.wait(x, [&] { return ++asked == 1; });
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(x);
}

TEST_F(robust_condition_variable_test, one_notification_wakes_a_waiter) {
  std::thread one = receiver();
  fill();
  ready_.notify_one();
  one.join();
  EXPECT_EQ(woken_, 1);
}

TEST_F(robust_condition_variable_test, notify_all_wakes_all) {
  std::vector<std::thread> all;
  for (int i = 0; i < 8; ++i) all.push_back(receiver());
  EXPECT_TRUE(within(testing::default_timeout(), [this] { return waiting_ == 8; }));
  fill();
  ready_.notify_all();
  for (auto& each : all) each.join();
  EXPECT_EQ(woken_, 8);
}

TEST_F(robust_condition_variable_test, a_thousand_letters_there_and_back) {
  std::thread echo([this] {
    for (int i = 0; i < 1000; ++i) {
      auto x = box_.lock();
      ASSERT_TRUE(ready_.wait_for(x, patience, [&] { return x->full; }));
      x->full = false;
      ++x->letters;
      x.unlock();
      ready_.notify_one();
    }
  });
  for (int i = 0; i < 1000; ++i) {
    auto x = box_.lock();
    x->full = true;
    x.unlock();
    ready_.notify_one();
    x.lock();
    ASSERT_TRUE(ready_.wait_for(x, patience, [&] { return !x->full; })) << "letter " << i;
  }
  echo.join();
  EXPECT_EQ(box_.lock()->letters, 1000);
}

TEST_F(robust_condition_variable_test, a_unique_lock_of_a_robust_mutex) {
  auto& mutex = seg_.find_or_construct<robust_mutex>("mutex", "plain");
  bool set = false;
  std::thread other([&] {
    std::unique_lock hold(mutex);
    ready_.wait(hold, [&] { return set; });
    EXPECT_TRUE(hold.owns_lock());
  });
  {
    const std::scoped_lock hold(mutex);
    set = true;
  }
  ready_.notify_one();
  other.join();
}

TEST_F(robust_condition_variable_test, a_deadline_that_passes_gives_what_the_predicate_says) {
  auto x = box_.lock();
  EXPECT_FALSE(ready_.wait_for(x, 1ms, [&] { return x->full; }));
  EXPECT_TRUE(x);
  EXPECT_FALSE(ready_.wait_for(x, 0ms, [&] { return x->full; }));
  EXPECT_FALSE(ready_.wait_for(x, -1h, [&] { return x->full; }));
  EXPECT_FALSE(ready_.wait_until(x, std::chrono::steady_clock::now(), [&] { return x->full; }));
  EXPECT_FALSE(
      ready_.wait_until(x, std::chrono::system_clock::now() + 1ms, [&] { return x->full; }));
  EXPECT_FALSE(
      ready_.wait_until(x, std::chrono::system_clock::time_point::min(), [&] { return x->full; }));
  EXPECT_FALSE(ready_.wait_until(x, std::stop_token(), std::chrono::system_clock::time_point::min(),
                                 [&] { return x->full; }));
  x->full = true;
  EXPECT_TRUE(ready_.wait_for(x, -1h, [&] { return x->full; }));
}

TEST_F(robust_condition_variable_test, durations_that_no_clock_can_add) {
  std::thread one([this] {
    auto x = box_.lock();
    EXPECT_TRUE(ready_.wait_for(x, std::chrono::hours::max(), [&] { return x->full; }));
    x->full = false;
    EXPECT_TRUE(
        ready_.wait_for(x, std::chrono::duration<double>(1e300), [&] { return x->letters == 1; }));
  });
  fill();
  ready_.notify_one();
  EXPECT_TRUE(within(testing::default_timeout(), [this] { return !box_.lock()->full; }));
  box_.lock()->letters = 1;
  ready_.notify_one();
  one.join();
}

// A clock that is set while somebody waits on it: the wait follows it within a slice.
struct settable_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<settable_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static inline std::atomic<rep> ticks{0};
  static time_point now() { return time_point(duration(ticks)); }
};

TEST_F(robust_condition_variable_test, a_clock_that_is_set_forward_ends_the_wait) {
  std::thread setter([this] {
    const auto x = box_.lock();  // had only once the other waits
    settable_clock::ticks = 3'600'000;
  });
  auto x = box_.lock();
  EXPECT_FALSE(ready_.wait_until(x, settable_clock::time_point(1h), [&] { return x->full; }));
  x.unlock();
  setter.join();
}

TEST_F(robust_condition_variable_test, stop_ends_a_wait) {
  std::jthread one([this](const std::stop_token& stop) {
    auto x = box_.lock();
    EXPECT_FALSE(ready_.wait(x, stop, [&] { return x->full; }));
    EXPECT_TRUE(x);
    ++woken_;
  });
  one.request_stop();
  one.join();
  EXPECT_EQ(woken_, 1);
}

TEST_F(robust_condition_variable_test, stop_that_was_requested_before_does_not_wait) {
  std::stop_source source;
  source.request_stop();
  auto x = box_.lock();
  EXPECT_FALSE(ready_.wait(x, source.get_token(), [&] { return x->full; }));
  x->full = true;
  EXPECT_TRUE(ready_.wait(x, source.get_token(), [&] { return x->full; }));
  EXPECT_TRUE(ready_.wait_for(x, source.get_token(), 1h, [&] { return x->full; }));
}

TEST_F(robust_condition_variable_test, a_predicate_that_throws_leaves_the_mutex_held) {
  auto x = box_.lock();
  EXPECT_THROW(ready_.wait(x, []() -> bool { throw 42; }), int);
  EXPECT_TRUE(x);
  x->letters = 1;
}

TEST_F(robust_condition_variable_test, a_guard_that_holds_nothing_is_refused) {
  auto x = box_.lock();
  x.unlock();
  guarded<mailbox>::guard none;
  EXPECT_THROW(ready_.wait(none, [] { return false; }), std::system_error);
  std::unique_lock hold(seg_.find_or_construct<robust_mutex>("mutex", "plain"), std::defer_lock);
  EXPECT_THROW(ready_.wait(hold, [] { return false; }), std::system_error);
}

TEST_F(robust_condition_variable_test, one_in_ordinary_memory_cannot_be_made) {
  alignas(robust_condition_variable) char memory[sizeof(robust_condition_variable)];
  try {
    new (memory) robust_condition_variable;
    FAIL() << "it was made";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::not_in_segment) << error.what();
  }
}

TEST_F(robust_condition_variable_test,
       zeroed_memory_is_refused_by_a_wait_and_ignored_by_a_notification) {
  std::memset(static_cast<void*>(&ready_), 0, sizeof ready_);
  ready_.notify_one();
  ready_.notify_all();
  auto x = box_.lock();
  try {
    ready_.wait(x, [] { return true; });
    FAIL() << "it waited";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::damaged) << error.what();
  }
  EXPECT_TRUE(x);
}

TEST_F(robust_condition_variable_test, one_that_was_destroyed_is_refused) {
  auto x = box_.lock();
  ready_.~robust_condition_variable();
  EXPECT_THROW(ready_.wait(x, [] { return true; }), std::system_error);
}

// A guard locks and unlocks like a unique_lock.
TEST_F(robust_condition_variable_test, a_guard_can_be_locked_again) {
  auto x = box_.lock();
  EXPECT_THROW(x.lock(), std::system_error);  // errc::deadlock
  EXPECT_TRUE(x);
  x.unlock();
  EXPECT_FALSE(x);
  EXPECT_TRUE(box_.try_lock());
  x.lock();
  EXPECT_TRUE(x);
  guarded<mailbox>::guard none;
  EXPECT_THROW(none.lock(), std::system_error);
}

}  // namespace
}  // namespace outlive
