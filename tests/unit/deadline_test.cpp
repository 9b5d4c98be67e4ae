// Deadlines of every timed function: as far away as the types allow, of any unit, and on clocks
// that are set, or run at another speed than steady_clock.
#include <outlive/detail/deadline.hpp>
#include <outlive/outlive.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <thread>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono;
using detail::deadline;

// Half as fast as steady_clock.
struct slow_clock {
  using duration = nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<slow_clock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept {
    return time_point(steady_clock::now().time_since_epoch() / 2);
  }
};

// Stands still until it is set.
struct stopped_clock {
  using duration = nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<stopped_clock>;
  static constexpr bool is_steady = false;
  static inline std::atomic<rep> reading = 0;
  static time_point now() noexcept { return time_point(duration(reading.load())); }
};

TEST(deadline, what_does_not_fit_is_for_ever) {
  EXPECT_EQ(deadline(hours::max()).left(), nanoseconds::max());
  EXPECT_EQ(deadline(duration<double>(1e300)).left(), nanoseconds::max());
  const auto years = sys_days(year(9999) / 12 / 31);
  EXPECT_EQ(deadline(years).left(), nanoseconds::max());
  const auto end = sys_seconds::max();
  EXPECT_EQ(deadline(end).left(), nanoseconds::max());
  const time_point<steady_clock, hours> steady_end(hours::max());
  EXPECT_EQ(deadline(steady_end).left(), nanoseconds::max());
  const auto in_2200 = sys_days(year(2200) / 1 / 1);
  EXPECT_GT(deadline(in_2200).left(), hours(24 * 365 * 100));
  EXPECT_LT(deadline(in_2200).left(), hours(24 * 366 * 250));
}

TEST(deadline, what_is_long_ago_is_over) {
  EXPECT_TRUE(deadline(hours::min()).is_over());
  EXPECT_TRUE(deadline(duration<double>(-1e300)).is_over());
  EXPECT_TRUE(deadline(duration<double>(std::numeric_limits<double>::quiet_NaN())).is_over());
  EXPECT_TRUE(deadline(steady_clock::time_point::min()).is_over());
  const auto begin = sys_seconds::min();
  EXPECT_TRUE(deadline(begin).is_over());
  const auto before = sys_days(year(-9999) / 1 / 1);
  EXPECT_TRUE(deadline(before).is_over());
  EXPECT_TRUE(deadline::none().is_over());
  EXPECT_FALSE(deadline::none().waits());
  EXPECT_TRUE(deadline(0s).waits());
}

TEST(deadline, it_is_exact_to_the_nanosecond_and_rounded_up) {
  stopped_clock::reading = 1'764'500'000'123'456'789;
  const auto now = stopped_clock::now();
  const auto next = now + 1ns;
  EXPECT_EQ(deadline(next).left(), 1ns);
  EXPECT_TRUE(deadline(now).is_over());
  const auto second = ceil<seconds>(now);
  EXPECT_EQ(deadline(second).left(), second - now);
  stopped_clock::reading = 0;
  const time_point<stopped_clock, duration<long, std::pico>> soon(duration<long, std::pico>(1));
  EXPECT_EQ(deadline(soon).left(), 1ns);
}

TEST(deadline, it_keeps_no_reference_to_the_time_that_it_was_made_from) {
  stopped_clock::reading = 100;
  const deadline by_point = stopped_clock::now() + 5ns;
  const deadline by_span = 1h;
  stopped_clock::reading = 103;
  EXPECT_EQ(by_point.left(), 2ns);
  EXPECT_GT(by_span.left(), 59min);
  stopped_clock::reading = 105;
  EXPECT_TRUE(by_point.is_over());
}

// Each timed function with an object that it must wait for. Calls act(name, wait, let_go):
// wait(point) is the timed function, let_go() makes what it waits for available.
struct deadline_forms : ::testing::Test {
  segment seg = segment::anonymous();

  template <class Act>
  void for_each_form(Act act) {
    with_mutex<robust_mutex>(act, "robust_mutex");
    with_mutex<robust_shared_mutex>(act, "robust_shared_mutex");
    with_readers(act);
    with_permits(act);
    with_queue(act);
    with_condition(act);
  }

  template <class Mutex, class Act>
  void with_mutex(Act act, const char* name) {
    auto& mutex = seg.find_or_construct<Mutex>(name, name);
    const auto waited_for = [&](const char* what, auto wait) {
      shared_value<int> step;
      std::thread owner([&] {
        mutex.lock();
        step.store(1);
        step.wait_equal(2);
        mutex.unlock();
      });
      EXPECT_TRUE(step.wait_equal(1));
      act(what, wait, [&] { step.store(2); });
      owner.join();
    };
    waited_for(name, [&](const auto& point) {
      const bool got = mutex.try_lock_until(point);
      if (got) mutex.unlock();
      return got;
    });
    waited_for(name, [&](const auto& point) {
      std::error_code error;
      const bool got = mutex.try_lock_until(point, error);
      EXPECT_FALSE(error) << error.message();
      if (got) mutex.unlock();
      return got;
    });
  }

  template <class Act>
  void with_readers(Act act) {
    auto& mutex = seg.find_or_construct<robust_shared_mutex>("read", "read");
    shared_value<int> step;
    std::thread writer([&] {
      mutex.lock();
      step.store(1);
      step.wait_equal(2);
      mutex.unlock();
    });
    EXPECT_TRUE(step.wait_equal(1));
    const auto wait = [&](const auto& point) {
      const bool got = mutex.try_lock_shared_until(point);
      if (got) mutex.unlock_shared();
      return got;
    };
    act("a reader", wait, [&] { step.store(2); });
    writer.join();
    // And a writer that waits for a reader.
    shared_value<int> reading;
    std::thread reader([&] {
      mutex.lock_shared();
      reading.store(1);
      reading.wait_equal(2);
      mutex.unlock_shared();
    });
    EXPECT_TRUE(reading.wait_equal(1));
    const auto write = [&](const auto& point) {
      const bool got = mutex.try_lock_until(point);
      if (got) mutex.unlock();
      return got;
    };
    act("a writer behind a reader", write, [&] { reading.store(2); });
    reader.join();
  }

  template <class Act>
  void with_permits(Act act) {
    auto& pool = seg.find_or_construct<permit_pool<4>>("permits", 1u);
    permit taken = pool.acquire();
    act(
        "permit_pool", [&](const auto& point) { return bool(pool.try_acquire_until(point)); },
        [&] { taken.release(); });
  }

  template <class Act>
  void with_queue(Act act) {
    auto& queue = seg.find_or_construct<work_queue<int, 1>>("queue");
    const auto pop = [&](const auto& point) { return bool(queue.try_pop_until(point)); };
    act("try_pop_until", pop, [&] { queue.push(1); });
    while (auto job = queue.try_pop()) job.done();
    queue.push(2);
    const auto push = [&](const auto& point) { return queue.try_push_until(3, point); };
    act("try_push_until", push, [&] { queue.pop().done(); });
    while (auto job = queue.try_pop()) job.done();
  }

  template <class Act>
  void with_condition(Act act) {
    auto& mutex = seg.find_or_construct<robust_mutex>("of condition", "of condition");
    auto& condition = seg.find_or_construct<robust_condition_variable>("condition");
    bool ready = false;
    const auto notify = [&] {
      const std::lock_guard hold(mutex);
      ready = true;
      condition.notify_all();
    };
    const auto wait = [&](const auto& point) {
      std::unique_lock hold(mutex);
      return condition.wait_until(hold, point, [&] { return ready; });
    };
    act("wait_until", wait, notify);
    ready = false;
    const auto stoppable = [&](const auto& point) {
      std::unique_lock hold(mutex);
      return condition.wait_until(hold, std::stop_token(), point, [&] { return ready; });
    };
    act("wait_until with a stop token", stoppable, notify);
  }
};

// wait(point) waits until end(), and says then whether it acquired. finally() ends it in any case.
template <class Wait, class End, class Finally, class Point>
void expect_waits(const char* what, Wait wait, const Point& point, End end, bool acquires,
                  Finally finally) {
  shared_value<int> done;
  std::thread waiter([&] { done.store(wait(point) ? 1 : 2); });
  EXPECT_FALSE(done.wait([](int now) { return now != 0; }, testing::milliseconds(20))) << what;
  end();
  EXPECT_TRUE(done.wait_equal(acquires ? 1 : 2, seconds(5))) << what << ": " << done.load();
  finally();
  waiter.join();
}

template <class Wait, class LetGo, class Point>
void expect_acquired(const char* what, Wait wait, const Point& point, LetGo let_go) {
  expect_waits(what, wait, point, let_go, true, [] {});
}

TEST_F(deadline_forms, deadlines_in_the_year_2400_are_waited_for) {
  for_each_form([](const char* what, auto wait, auto let_go) {
    expect_acquired(what, wait, sys_days(year(2400) / 1 / 1), let_go);
  });
}

TEST_F(deadline_forms, the_largest_number_of_seconds_is_waited_for) {
  for_each_form([](const char* what, auto wait, auto let_go) {
    expect_acquired(what, wait, sys_seconds::max(), let_go);
  });
}

TEST_F(deadline_forms, the_largest_number_of_hours_of_steady_clock_is_waited_for) {
  for_each_form([](const char* what, auto wait, auto let_go) {
    expect_acquired(what, wait, time_point<steady_clock, hours>(hours::max()), let_go);
  });
}

TEST_F(deadline_forms, a_clock_slower_than_steady_clock_is_waited_for) {
  for_each_form([](const char* what, auto wait, auto let_go) {
    const auto point = slow_clock::now() + testing::milliseconds(10);
    EXPECT_FALSE(wait(point)) << what;
    EXPECT_GE(slow_clock::now(), point) << what;
    let_go();
  });
}

TEST_F(deadline_forms, a_clock_that_is_set_is_followed) {
  for_each_form([](const char* what, auto wait, auto let_go) {
    stopped_clock::reading = 0;
    const auto point = stopped_clock::now() + hours(1);
    const auto set = [] { stopped_clock::reading = nanoseconds(hours(1)).count(); };
    expect_waits(what, wait, point, set, false, let_go);
  });
}

}  // namespace
}  // namespace outlive::testing
