// A robust mutex as a mutex: exclusion, the standard's ways to lock, in both forms of each
// function.
#include <outlive/robust_mutex.hpp>

#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct robust_mutex_test : ::testing::Test {
  segment seg = segment::anonymous();
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  robust_mutex& other = seg.find_or_construct<robust_mutex>("other", "class");
};

TEST_F(robust_mutex_test, it_is_one_cache_line) {
  EXPECT_EQ(sizeof(robust_mutex), 64U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&mutex) % 64, 0U);
}

TEST_F(robust_mutex_test, threads_exclude_each_other) {
  long count = 0;
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i) {
    all.emplace_back([&] {
      for (int k = 0; k < 5000; ++k) {
        const std::lock_guard hold(mutex);
        ++count;
      }
    });
  }
  for (auto& each : all) each.join();
  EXPECT_EQ(count, 20'000);
}

#ifndef __SANITIZE_THREAD__  // which makes system calls of its own
TEST_F(robust_mutex_test, a_free_mutex_takes_no_system_call) {
  expect_no_system_call([&] {
    mutex.lock();
    other.lock();
    mutex.unlock();
    other.unlock();
    if (!mutex.try_lock()) ::abort();
    mutex.unlock();
  });
}
#endif

TEST_F(robust_mutex_test, the_form_with_a_code_does_the_same) {
  std::error_code error = errc::damaged;
  mutex.lock(error);
  EXPECT_FALSE(error) << error.message();
  error = errc::damaged;
  EXPECT_FALSE(mutex.try_lock(error));  // held by this thread: no, but no error
  EXPECT_FALSE(error) << error.message();
  elsewhere([&] {
    std::error_code theirs = errc::damaged;
    EXPECT_FALSE(mutex.try_lock(theirs));
    EXPECT_FALSE(theirs) << theirs.message();
  });
  error = errc::damaged;
  mutex.unlock(error);
  EXPECT_FALSE(error) << error.message();
  EXPECT_TRUE(mutex.try_lock(error));
  EXPECT_FALSE(error);
  mutex.unlock(error);
  EXPECT_FALSE(error);
}

TEST_F(robust_mutex_test, it_works_with_what_the_standard_offers) {
  {
    const std::scoped_lock both(mutex, other);
    elsewhere([&] { EXPECT_FALSE(mutex.try_lock() || other.try_lock()); });
  }
  std::unique_lock one(mutex, std::defer_lock);
  std::unique_lock two(other, std::defer_lock);
  std::lock(one, two);
  EXPECT_TRUE(one.owns_lock() && two.owns_lock());
  one.unlock();
  EXPECT_TRUE(one.try_lock());
  one.unlock();
  EXPECT_TRUE(one.try_lock_for(std::chrono::milliseconds(1)));
  one.unlock();
  EXPECT_EQ(std::try_lock(mutex, other), 1);  // `two` still holds the other
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(robust_mutex_test, std_lock_in_both_orders_does_not_deadlock) {
  std::array<std::thread, 2> both;
  int count = 0;
  for (std::size_t i = 0; i < both.size(); ++i) {
    both[i] = std::thread([&, i] {
      for (int k = 0; k < 2000; ++k) {
        std::unique_lock a(i == 0 ? mutex : other, std::defer_lock);
        std::unique_lock b(i == 0 ? other : mutex, std::defer_lock);
        std::lock(a, b);
        ++count;
      }
    });
  }
  for (auto& each : both) each.join();
  EXPECT_EQ(count, 4000);
}

TEST_F(robust_mutex_test, a_condition_variable_of_this_process_can_wait_with_it) {
  std::condition_variable_any changed;
  bool ready = false;
  std::thread waker([&] {
    const std::lock_guard hold(mutex);
    ready = true;
    changed.notify_one();
  });
  std::unique_lock hold(mutex);
  EXPECT_TRUE(changed.wait_for(hold, default_timeout(), [&] { return ready; }));
  hold.unlock();
  waker.join();
}

TEST_F(robust_mutex_test, locks_are_given_back_in_any_order) {
  std::vector<robust_mutex*> all;
  for (int i = 0; i < 20; ++i)
    all.push_back(&seg.find_or_construct<robust_mutex>("m" + std::to_string(i), "class"));
  for (auto* each : all) each->lock();
  for (const std::size_t i : {10U, 0U, 19U, 5U}) all[i]->unlock();
  all[5]->lock();
  all[0]->lock();
  all[5]->unlock();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool held = i != 10 && i != 19 && i != 5;
    elsewhere([&] { EXPECT_EQ(all[i]->try_lock(), !held) << i; });
    if (held) all[i]->unlock();
  }
}

}  // namespace
}  // namespace outlive::testing
