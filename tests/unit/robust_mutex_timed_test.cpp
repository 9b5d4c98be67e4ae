// Timed locks: on any clock, never early, not much late, and an error or the mutex as lock() would
// give it.
#include <outlive/robust_mutex.hpp>
#include <outlive/robust_shared_mutex.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <concepts>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// Generous: the machine may be busy. What matters is that a wait does not end early, nor only at
// another slice of 250 ms.
constexpr auto late = 5s;

struct robust_mutex_timed : ::testing::Test {
  segment seg = segment::anonymous();
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");

  template <class Act>
  static void expect_timeout(steady_clock::duration span, Act act) {
    const auto begin = steady_clock::now();
    EXPECT_FALSE(act());
    const auto took = steady_clock::now() - begin;
    EXPECT_GE(took, span);
    EXPECT_LT(took, span + late);
  }
};

TEST_F(robust_mutex_timed, a_free_mutex_is_had_at_once_whatever_the_time) {
  for (const auto span : {-1000ms, 0ms, 1ms}) {
    EXPECT_TRUE(mutex.try_lock_for(span));
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock_until(steady_clock::now() + span));
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock_until(system_clock::now() + span));
    mutex.unlock();
  }
  EXPECT_TRUE(mutex.try_lock_until(steady_clock::time_point::min()));
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock_until(system_clock::time_point::min()));
  mutex.unlock();
}

TEST_F(robust_mutex_timed, a_held_mutex_is_waited_for_that_long) {
  const holder other(mutex);
  // Shorter than a slice of the library's, and longer.
  for (const auto span : {1ms, 30ms, 300ms}) {
    expect_timeout(span, [&] { return mutex.try_lock_for(span); });
    expect_timeout(span - 1ms, [&] { return mutex.try_lock_until(steady_clock::now() + span); });
    expect_timeout(span - 1ms, [&] { return mutex.try_lock_until(system_clock::now() + span); });
    std::error_code error = errc::damaged;
    expect_timeout(span, [&] { return mutex.try_lock_for(span, error); });
    EXPECT_FALSE(error) << error.message();
    expect_timeout(span - 1ms,
                   [&] { return mutex.try_lock_until(system_clock::now() + span, error); });
    EXPECT_FALSE(error) << error.message();
  }
}

TEST_F(robust_mutex_timed, times_that_are_over_do_not_wait) {
  const holder other(mutex);
  expect_timeout(0ms, [&] { return mutex.try_lock_for(0ms); });
  expect_timeout(0ms, [&] { return mutex.try_lock_for(-1h); });
  expect_timeout(0ms, [&] { return mutex.try_lock_for(std::chrono::duration<double>(-1e300)); });
  expect_timeout(0ms, [&] { return mutex.try_lock_until(steady_clock::time_point()); });
  expect_timeout(0ms, [&] { return mutex.try_lock_until(steady_clock::time_point::min()); });
  expect_timeout(0ms, [&] { return mutex.try_lock_until(system_clock::time_point()); });
  expect_timeout(0ms, [&] { return mutex.try_lock_until(system_clock::time_point::min()); });
}

TEST_F(robust_mutex_timed, endless_times_wait_until_the_mutex_is_free) {
  const auto waits = [&](auto lock) {
    holder other(mutex);
    shared_value<int> done;
    std::thread waiter([&] {
      done.store(lock() ? 1 : 2);
      mutex.unlock();
    });
    EXPECT_FALSE(done.wait([](int now) { return now != 0; }, milliseconds(20)));
    other.let_go();
    EXPECT_TRUE(done.wait_equal(1));
    waiter.join();
  };
  waits([&] { return mutex.try_lock_for(steady_clock::duration::max()); });
  waits([&] { return mutex.try_lock_for(std::chrono::hours::max()); });
  waits([&] { return mutex.try_lock_for(std::chrono::duration<double>(1e300)); });
  waits([&] { return mutex.try_lock_until(steady_clock::time_point::max()); });
  waits([&] { return mutex.try_lock_until(system_clock::time_point::max()); });
}

TEST_F(robust_mutex_timed, a_mutex_that_becomes_free_is_had_in_time) {
  holder other(mutex);
  shared_value<int> done;
  std::thread waiter([&] {
    done.store(mutex.try_lock_for(default_timeout()) ? 1 : 2);
    mutex.unlock();
  });
  EXPECT_FALSE(done.wait([](int now) { return now != 0; }, milliseconds(20)));
  const auto begin = steady_clock::now();
  other.let_go();
  EXPECT_TRUE(done.wait_equal(1));
  EXPECT_LT(steady_clock::now() - begin, late);
  waiter.join();
}

TEST_F(robust_mutex_timed, unique_lock_takes_both_kinds_of_time) {
  const holder other(mutex);
  const std::unique_lock by_span(mutex, 1ms);
  EXPECT_FALSE(by_span.owns_lock());
  const std::unique_lock by_point(mutex, system_clock::now() + 1ms);
  EXPECT_FALSE(by_point.owns_lock());
}

// TimedLockable, for every kind of time.
template <class Mutex>
concept timed_lockable = requires(Mutex mutex, std::chrono::hours whole,
                                  std::chrono::duration<double> real, steady_clock::time_point at,
                                  std::chrono::sys_days day) {
  { mutex.try_lock_for(whole) } -> std::same_as<bool>;
  { mutex.try_lock_for(real) } -> std::same_as<bool>;
  { mutex.try_lock_until(at) } -> std::same_as<bool>;
  { mutex.try_lock_until(day) } -> std::same_as<bool>;
};
static_assert(timed_lockable<std::timed_mutex>);
static_assert(timed_lockable<robust_mutex>);
static_assert(timed_lockable<robust_shared_mutex>);

TEST_F(robust_mutex_timed, locks_of_the_standard_library_work_as_with_a_timed_mutex) {
  auto& other = seg.find_or_construct<robust_mutex>("other", "class");
  auto& shared = seg.find_or_construct<robust_shared_mutex>("shared", "class");
  const auto lock_all_ways = [](auto& one, auto& two) {
    std::unique_lock first(one, std::defer_lock);
    std::unique_lock second(two, std::defer_lock);
    EXPECT_TRUE(first.try_lock_for(1ms));
    EXPECT_TRUE(second.try_lock_until(system_clock::now() + 1ms));
    first.unlock();
    second.unlock();
    std::lock(first, second);
    EXPECT_TRUE(first.owns_lock() && second.owns_lock());
    first.unlock();
    second.unlock();
    EXPECT_EQ(std::try_lock(first, second), -1);
  };
#ifndef __SANITIZE_THREAD__  // that one does not know the call by which a std::timed_mutex waits
  std::timed_mutex plain;
  std::timed_mutex another;
  lock_all_ways(plain, another);
#endif
  lock_all_ways(mutex, other);
  lock_all_ways(mutex, shared);
  std::shared_lock reader(shared, std::defer_lock);
  EXPECT_TRUE(reader.try_lock_for(std::chrono::duration<double, std::milli>(0.5)));
  reader.unlock();
  EXPECT_TRUE(reader.try_lock_until(steady_clock::now() + 1ms));
}

TEST_F(robust_mutex_timed, a_dead_owner_is_met_within_the_time) {
  const auto repair = on_owner_death(seg, "class", always_consistent);
  shared_value<int> step;
  std::thread victim([&] {
    mutex.lock();
    step.store(1);
    step.wait_equal(2);
  });
  ASSERT_TRUE(step.wait_equal(1));
  shared_value<int> done;
  std::thread waiter([&] {
    done.store(mutex.try_lock_for(default_timeout()) && mutex.recovered() ? 1 : 2);
    mutex.unlock();
  });
  EXPECT_FALSE(done.wait([](int now) { return now != 0; }, milliseconds(20)));
  step.store(2);
  EXPECT_TRUE(done.wait_equal(1));
  victim.join();
  waiter.join();
}

TEST_F(robust_mutex_timed, a_period_as_fine_as_picoseconds_is_not_for_ever) {
  const holder other(mutex);
  elsewhere([&] {
    expect_timeout(
        1us, [&] { return mutex.try_lock_for(std::chrono::duration<long, std::pico>(1'000'000)); });
    EXPECT_FALSE(mutex.try_lock_for(std::chrono::duration<long, std::femto>(1)));
  });
}

#ifndef __SANITIZE_THREAD__  // that build does not call pthread_mutex_clocklock()
// What the kernel believes that this thread is about to lock: it writes there at the thread's end.
const void* pending_entry() {
  robust_list_head* head = nullptr;
  std::size_t length = 0;
  if (::syscall(SYS_get_robust_list, 0, &head, &length) != 0 || head == nullptr)
    throw std::runtime_error("no robust list");
  return head->list_op_pending;
}

TEST_F(robust_mutex_timed, after_a_timeout_no_pending_entry_is_left) {
  const holder other(mutex);
  elsewhere([&] {
    auto& native = reinterpret_cast<detail::lock_bytes&>(mutex).native;
    timespec past{0, 1};
    ASSERT_EQ(::pthread_mutex_clocklock(&native, CLOCK_MONOTONIC, &past), ETIMEDOUT);
    ASSERT_NE(pending_entry(), nullptr)
        << "glibc clears it by itself: hazard A14 is history, and so is clear_pending()";
    EXPECT_FALSE(mutex.try_lock_for(1ms));
    EXPECT_EQ(pending_entry(), nullptr);
  });
  elsewhere([&] {
    EXPECT_FALSE(mutex.try_lock_for(600ms)) << "more than one slice";
    EXPECT_EQ(pending_entry(), nullptr);
  });
}
#endif

}  // namespace
}  // namespace outlive::testing
