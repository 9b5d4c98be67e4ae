// Waits for locks and permits that a request to stop ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <future>
#include <mutex>
#include <stop_token>
#include <thread>

#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

#include "format/layout.hpp"
#include "support/bounded.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;
using shared_long = guarded<long, robust_shared_mutex>;

class stop_token_test : public ::testing::Test {
 protected:
  // Calls wait(token) in a thread, which must not return before the request, and returns what it
  // said then. `is_waiting` says whether the thread has begun to wait.
  template <class Wait, class IsWaiting>
  bool result_after_a_stop(Wait wait, IsWaiting is_waiting) {
    std::stop_source source;
    auto waiter = std::async(std::launch::async, [&] { return wait(source.get_token()); });
    EXPECT_TRUE(within(default_timeout(), is_waiting)) << "it does not wait";
    EXPECT_EQ(waiter.wait_for(0s), std::future_status::timeout) << "it returned by itself";
    source.request_stop();
    if (waiter.wait_for(default_timeout()) != std::future_status::ready) {
      ADD_FAILURE() << "it goes on waiting";
      std::_Exit(1);  // nothing would end the thread
    }
    return waiter.get();
  }
  // Whether a thread waits for the mutex, which is what the object begins with.
  bool is_awaited(const void* object) const {
    const auto offset = static_cast<std::uint64_t>(static_cast<const char*>(object) -
                                                   static_cast<const char*>(seg_.base()));
    const auto threads = segment_view(seg_).threads();
    return std::any_of(threads.begin(), threads.end(),
                       [&](const viewed_thread& each) { return each.waiting_for == offset; });
  }
  // A request that came before the call.
  static std::stop_token requested() {
    std::stop_source source;
    source.request_stop();
    return source.get_token();
  }

  segment seg_ = segment::anonymous();
  robust_mutex& mutex_ = seg_.find_or_construct<robust_mutex>("mutex", "class");
  shared_long& table_ = seg_.find_or_construct<shared_long>("table", "table", 5L);
  permit_pool<2>& permits_ = seg_.find_or_construct<permit_pool<2>>("permits", 1u);
};

TEST_F(stop_token_test, ends_a_wait_for_a_mutex) {
  mutex_.lock();
  EXPECT_FALSE(result_after_a_stop([&](const std::stop_token& stop) { return mutex_.lock(stop); },
                                   [&] { return is_awaited(&mutex_); }));
  EXPECT_FALSE(result_after_a_stop(
      [&](const std::stop_token& stop) { return mutex_.try_lock_for(1h, stop); },
      [&] { return is_awaited(&mutex_); }));
  mutex_.unlock();
  EXPECT_TRUE(mutex_.lock(std::stop_token()));
  mutex_.unlock();
}

TEST_F(stop_token_test, a_writer_that_is_stopped_lets_readers_in_again) {
  const auto reader = table_.lock_shared();
  const auto gate_is_closed = [&] {
    return !std::async(std::launch::async, [&] { return bool{table_.try_lock_shared()}; }).get();
  };
  EXPECT_FALSE(result_after_a_stop(
      [&](const std::stop_token& stop) { return bool{table_.lock(stop)}; }, gate_is_closed));
  EXPECT_FALSE(gate_is_closed());
}

TEST_F(stop_token_test, ends_a_wait_of_a_reader) {
  const auto writer = table_.lock();
  EXPECT_FALSE(result_after_a_stop(
      [&](const std::stop_token& stop) { return bool{table_.lock_shared(stop)}; },
      [&] { return is_awaited(&table_); }));
  EXPECT_FALSE(result_after_a_stop(
      [&](const std::stop_token& stop) { return bool{table_.try_lock_shared_for(1h, stop)}; },
      [&] { return is_awaited(&table_); }));
}

TEST_F(stop_token_test, ends_a_wait_for_a_permit) {
  const auto mine = permits_.acquire();
  const auto sleeps = [&] {
    return (reinterpret_cast<detail::permit_pool_head&>(permits_).seq.load() & 1) != 0;
  };
  EXPECT_FALSE(result_after_a_stop(
      [&](const std::stop_token& stop) { return bool{permits_.acquire(stop)}; }, sleeps));
  EXPECT_FALSE(result_after_a_stop(
      [&](const std::stop_token& stop) { return bool{permits_.try_acquire_for(1h, stop)}; },
      sleeps));
  EXPECT_TRUE(result_after_a_stop(
      [&](const std::stop_token& stop) { return permits_.acquire_many(1, stop).empty(); }, sleeps));
}

TEST_F(stop_token_test, what_is_free_is_acquired_although_a_stop_was_requested) {
  EXPECT_TRUE(mutex_.lock(requested()));
  mutex_.unlock();
  EXPECT_TRUE(table_.lock(requested()));
  EXPECT_TRUE(table_.lock_shared(requested()));
  EXPECT_TRUE(permits_.acquire(requested()));
  const std::scoped_lock hold(mutex_);
  const auto mine = permits_.acquire();
  const auto writer = table_.lock();
  std::async(std::launch::async, [&] {
    EXPECT_FALSE(mutex_.lock(requested()));
    EXPECT_FALSE(table_.lock(requested()));
    EXPECT_FALSE(table_.lock_shared(requested()));
    EXPECT_FALSE(permits_.acquire(requested()));
  }).get();
}

TEST_F(stop_token_test, the_time_still_ends_the_wait) {
  const std::stop_source source;
  const std::scoped_lock hold(mutex_);
  const auto mine = permits_.acquire();
  std::async(std::launch::async, [&] {
    EXPECT_FALSE(mutex_.try_lock_for(1ms, source.get_token()));
    EXPECT_FALSE(mutex_.try_lock_until(std::chrono::steady_clock::now() + 1ms, source.get_token()));
    EXPECT_FALSE(permits_.try_acquire_for(1ms, source.get_token()));
    EXPECT_FALSE(permits_.try_acquire_until(std::chrono::system_clock::now(), source.get_token()));
  }).get();
}

TEST_F(stop_token_test, errors_come_as_without_a_token) {
  const std::scoped_lock hold(mutex_);
  std::error_code error;
  EXPECT_FALSE(mutex_.lock(std::stop_token(), error));
  EXPECT_EQ(error, errc::deadlock);
  EXPECT_THROW(static_cast<void>(mutex_.lock(std::stop_token())), std::system_error);
}

}  // namespace
}  // namespace outlive::testing
