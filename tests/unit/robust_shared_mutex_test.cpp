// The shared mutex among the threads of one process, in both forms in which readers mark
// themselves.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "support/bounded.hpp"
#include "unit/robust_shared_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;

class robust_shared_mutex_test : public robust_shared_mutex_fixture {};

TEST_P(robust_shared_mutex_test, the_form_is_the_segments) {
  const reader_marks form = seg_.options().readers;
  EXPECT_NE(form, reader_marks::automatic);
  if (GetParam() == reader_marks::locked) {
    EXPECT_EQ(form, reader_marks::locked);
  }
}

TEST_P(robust_shared_mutex_test, readers_together_a_writer_alone) {
  mutex_.lock_shared();
  EXPECT_TRUE(others_can_read());
  EXPECT_FALSE(others_can_lock());
  EXPECT_TRUE(others_can_read()) << "a try_lock() that failed keeps nobody out";
  mutex_.unlock_shared();
  mutex_.lock();
  EXPECT_FALSE(others_can_read());
  EXPECT_FALSE(others_can_lock());
  mutex_.unlock();
  EXPECT_TRUE(others_can_read());
  EXPECT_TRUE(others_can_lock());
}

TEST_P(robust_shared_mutex_test, locks_of_the_standard_library) {
  auto& plain = seg_.find_or_construct<robust_mutex>("plain", "plain");
  {
    std::shared_lock hold(mutex_);
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_FALSE(others_can_lock());
  }
  {
    std::unique_lock hold(mutex_);
    EXPECT_FALSE(others_can_read());
  }
  {
    std::scoped_lock hold(plain, mutex_);
    EXPECT_FALSE(others_can_read());
  }
  std::shared_lock read(mutex_, 1ms);
  EXPECT_TRUE(read.owns_lock());
  std::thread([&] {
    std::unique_lock write(mutex_, 1ms);
    EXPECT_FALSE(write.owns_lock());
    std::unique_lock until(mutex_, std::chrono::system_clock::now() + 1ms);
    EXPECT_FALSE(until.owns_lock());
  }).join();
  EXPECT_TRUE(others_can_read()) << "a writer that gave up keeps nobody out";
}

TEST_P(robust_shared_mutex_test, timed_readers_give_up) {
  mutex_.lock();
  std::thread([&] {
    EXPECT_FALSE(mutex_.try_lock_shared_for(1ms));
    EXPECT_FALSE(mutex_.try_lock_shared_until(std::chrono::steady_clock::time_point::min()));
    std::error_code error = make_error_code(errc::damaged);
    EXPECT_FALSE(mutex_.try_lock_shared_for(1ms, error));
    EXPECT_FALSE(error);
  }).join();
  mutex_.unlock();
  EXPECT_TRUE(mutex_.try_lock_shared_for(1h));
  mutex_.unlock_shared();
  EXPECT_EQ(readers_of(mutex_), 0u);
}

TEST_P(robust_shared_mutex_test, held_shared_twice) {
  mutex_.lock_shared();
  mutex_.lock_shared();
  mutex_.unlock_shared();
  EXPECT_FALSE(others_can_lock());
  mutex_.unlock_shared();
  EXPECT_TRUE(others_can_lock());
  expect_error(
      errc::not_owner, [&] { mutex_.unlock_shared(); }, "a third");
}

TEST_P(robust_shared_mutex_test, held_shared_again_while_a_writer_waits) {
  mutex_.lock_shared();
  std::thread writer([&] {
    mutex_.lock();
    mutex_.unlock();
  });
  ASSERT_TRUE(within(default_timeout(), [&] { return !others_can_read(); }));
  mutex_.lock_shared();
  mutex_.unlock_shared();
  mutex_.unlock_shared();
  writer.join();
}

TEST_P(robust_shared_mutex_test, writers_do_not_starve) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  std::atomic<int> reading{0};
  // One of them is always inside.
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        std::shared_lock hold(mutex_);
        ++reading;
        for (int turns = 0; turns < 100 && reading < 2 && !stop; ++turns) std::this_thread::yield();
        --reading;
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    if (!mutex_.try_lock_for(default_timeout())) {
      ADD_FAILURE() << "the writer waits for ever, " << readers_of(mutex_) << " readers";
      break;
    }
    mutex_.unlock();
  }
  stop = true;
  for (auto& each : readers) each.join();
}

TEST_P(robust_shared_mutex_test, no_reader_sees_half_a_change) {
  struct both {
    long a = 0;
    long b = 0;
  };
  auto& value = seg_.find_or_construct<guarded<both, robust_shared_mutex>>("both", "both");
  std::atomic<long> torn{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2'000; ++i) {
        if ((i + t) % 8 == 0) {
          auto x = value.lock();
          ++x->a;
          ++x->b;
        } else {
          const auto x = value.lock_shared();
          torn += x->a != x->b ? 1 : 0;
        }
      }
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(value.lock_shared()->a, 1'000);
}

TEST_P(robust_shared_mutex_test, a_guard_to_read) {
  auto& value = seg_.find_or_construct<guarded<int, robust_shared_mutex>>("int", "int", 42);
  static_assert(std::is_same_v<decltype(*value.lock_shared()), const int&>);
  static_assert(std::is_same_v<decltype(*value.lock()), int&>);
  auto one = value.lock_shared();
  auto other = std::move(one);
  EXPECT_FALSE(one);
  EXPECT_EQ(*other, 42);
  expect_error(
      errc::deadlock, [&] { other.lock(); }, "a second lock of a guard");
  other.unlock();
  EXPECT_FALSE(other);
  other.lock();
  EXPECT_TRUE(other);
  expect_error(
      errc::not_owner, [&] { one.lock(); }, "a guard that was moved from");
  EXPECT_FALSE(value.mutex().try_lock());
  other = {};
  EXPECT_TRUE(value.try_lock());
  std::error_code error;
  EXPECT_TRUE(value.lock_shared(error));
  EXPECT_TRUE(value.try_lock_shared());
  EXPECT_TRUE(value.try_lock_shared_for(1ms));
}

TEST_P(robust_shared_mutex_test, downgraded_it_is_held_shared) {
  mutex_.lock();
  EXPECT_FALSE(others_can_read());
  mutex_.downgrade();
  EXPECT_EQ(readers_of(mutex_), 1U);
  EXPECT_TRUE(others_can_read());
  EXPECT_FALSE(others_can_lock());
  mutex_.lock_shared();  // once more
  mutex_.unlock_shared();
  EXPECT_FALSE(others_can_lock());
  mutex_.unlock_shared();
  EXPECT_EQ(readers_of(mutex_), 0U);
  EXPECT_TRUE(others_can_lock());
}

// The first use of the thread is a lock alone: it has not marked before.
TEST_P(robust_shared_mutex_test, a_thread_that_never_read_can_downgrade) {
  std::thread([&] {
    mutex_.lock();
    mutex_.downgrade();
    EXPECT_EQ(readers_of(mutex_), 1U);
    mutex_.unlock_shared();
    mutex_.lock_shared();
    mutex_.unlock_shared();
  }).join();
  EXPECT_TRUE(mutex_.try_lock());
  mutex_.unlock();
}

TEST_P(robust_shared_mutex_test, no_writer_comes_in_between) {
  auto& value = seg_.find_or_construct<guarded<long, robust_shared_mutex>>("long", "long", 0L);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    while (!stop) ++*value.lock();
  });
  for (int i = 0; i < 200; ++i) {
    auto mine = value.lock();
    const long written = ++*mine;
    const auto read = mine.downgrade();
    EXPECT_FALSE(mine);
    EXPECT_EQ(*read, written);
  }
  stop = true;
  writer.join();
}

TEST_P(robust_shared_mutex_test, who_does_not_hold_it_alone_cannot_downgrade) {
  std::error_code error;
  mutex_.downgrade(error);
  EXPECT_EQ(error, errc::not_owner) << "free";
  mutex_.lock_shared();
  expect_error(
      errc::not_owner, [&] { mutex_.downgrade(); }, "held shared");
  mutex_.unlock_shared();
  mutex_.lock();
  std::thread([&] {
    EXPECT_TRUE(make("own").try_lock());  // so that it has a record
    make("own").unlock();
    mutex_.downgrade(error);
    EXPECT_EQ(error, errc::not_owner) << "another thread's";
  }).join();
  EXPECT_FALSE(others_can_read());
  mutex_.downgrade(error);
  EXPECT_FALSE(error);
  mutex_.unlock_shared();
  guarded<int, robust_shared_mutex>::guard empty;
  expect_error(
      errc::not_owner, [&] { static_cast<void>(empty.downgrade()); }, "an empty guard");
}

TEST_P(robust_shared_mutex_test, without_room_for_a_mark_it_stays_held_alone) {
  const auto place = [&](const robust_shared_mutex& mutex) {
    return id_of(mutex) % detail::mark_slots;
  };
  robust_shared_mutex* other = nullptr;
  for (int i = 0; other == nullptr && i < 100; ++i) {
    robust_shared_mutex& made = make("other" + std::to_string(i));
    if (place(made) == place(mutex_)) other = &made;
  }
  ASSERT_NE(other, nullptr);
  mutex_.lock();
  std::error_code error;
  int holds = 0;
  for (; !error; ++holds) other->lock_shared(error);
  EXPECT_EQ(error, errc::too_many_locks);
  expect_error(
      errc::too_many_locks, [&] { mutex_.downgrade(); }, "no room");
  EXPECT_FALSE(others_can_read());
  other->unlock_shared();
  mutex_.downgrade();
  mutex_.unlock_shared();
  for (holds -= 2; holds > 0; --holds) other->unlock_shared();
  EXPECT_TRUE(other->try_lock());
  other->unlock();
}

INSTANTIATE_TEST_SUITE_P(form, robust_shared_mutex_test,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         name_of_form);

}  // namespace
}  // namespace outlive::testing
