// The shared mutex among the threads of one process, in both forms in which readers mark themselves.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "segment/mapping.hpp"
#include "segment/marks.hpp"
#include "segment/segment_access.hpp"
#include "support/bounded.hpp"

namespace outlive {
namespace {

using namespace std::chrono_literals;

template <class Function>
void expect_error(errc code, Function function, const char* what) {
  try {
    function();
    ADD_FAILURE() << what << ": no error";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), code) << what << ": " << error.what();
  }
}

segment_options with(reader_marks form) {
  segment_options options;
  options.readers = form;
  return options;
}

class robust_shared_mutex_test : public ::testing::TestWithParam<reader_marks> {
 protected:
  robust_shared_mutex& make(const std::string& name) { return where_.find_or_construct<robust_shared_mutex>(name, "shared"); }
  detail::mapping& bytes() { return *detail::segment_access::mapping_of(where_); }
  std::uint32_t id_of(const robust_shared_mutex& mutex) { return detail::mark_id(bytes().offset_of(&mutex)); }
  std::uint32_t readers_of(const robust_shared_mutex& mutex) { return detail::count_readers(bytes(), id_of(mutex)); }
  /// What try_lock() and try_lock_shared() say in a thread of its own, which gives back what it got.
  bool others_can_lock() {
    bool can = false;
    std::thread([&] {
      can = mutex_.try_lock();
      if (can) mutex_.unlock();
    }).join();
    return can;
  }
  bool others_can_read() {
    bool can = false;
    std::thread([&] {
      can = mutex_.try_lock_shared();
      if (can) mutex_.unlock_shared();
    }).join();
    return can;
  }

  segment where_ = segment::anonymous(with(GetParam()));
  robust_shared_mutex& mutex_ = make("mutex");
};

TEST_P(robust_shared_mutex_test, the_form_is_the_segments) {
  const reader_marks form = where_.options().readers;
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
  auto& plain = where_.find_or_construct<robust_mutex>("plain", "plain");
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

// A writer waits for the first hold: the second must not wait for the writer.
TEST_P(robust_shared_mutex_test, held_shared_again_while_a_writer_waits) {
  mutex_.lock_shared();
  std::thread writer([&] {
    mutex_.lock();
    mutex_.unlock();
  });
  ASSERT_TRUE(testing::within(testing::default_timeout(), [&] { return !others_can_read(); }));
  mutex_.lock_shared();
  mutex_.unlock_shared();
  mutex_.unlock_shared();
  writer.join();
}

TEST_P(robust_shared_mutex_test, many_mutexes_whose_marks_share_a_slot) {
  std::vector<robust_shared_mutex*> same;
  for (int i = 0; same.size() < 18; ++i) {
    robust_shared_mutex& each = make("mutex " + std::to_string(i));
    if (id_of(each) % detail::mark_slots == id_of(mutex_) % detail::mark_slots) same.push_back(&each);
  }
  // One in the slot and 16 beside it.
  for (std::size_t i = 0; i < 17; ++i) same[i]->lock_shared();
  expect_error(
      errc::too_many_locks, [&] { same[17]->lock_shared(); }, "the 18th");
  for (std::size_t i = 0; i < 17; ++i) EXPECT_EQ(readers_of(*same[i]), 1u) << i;
  EXPECT_EQ(readers_of(*same[17]), 0u);
  // In an order that has nothing to do with the places.
  for (std::size_t i = 0; i < 17; ++i) {
    const std::size_t at = i * 5 % 17;
    same[at]->unlock_shared();
    EXPECT_EQ(readers_of(*same[at]), 0u) << at;
  }
  for (auto* each : same) {
    ASSERT_TRUE(each->try_lock());
    each->unlock();
  }
}

// The mark in the slot goes first, and one beside it stays: the slot still says that there is one.
TEST_P(robust_shared_mutex_test, the_first_of_two_in_a_slot_goes_and_comes_again) {
  robust_shared_mutex* other = nullptr;
  for (int i = 0; other == nullptr; ++i) {
    robust_shared_mutex& each = make("mutex " + std::to_string(i));
    if (id_of(each) % detail::mark_slots == id_of(mutex_) % detail::mark_slots) other = &each;
  }
  for (int i = 0; i < 3; ++i) {
    mutex_.lock_shared();
    other->lock_shared();
    mutex_.unlock_shared();
    EXPECT_EQ(readers_of(mutex_), 0u);
    EXPECT_EQ(readers_of(*other), 1u);
    mutex_.lock_shared();
    EXPECT_EQ(readers_of(mutex_), 1u);
    EXPECT_FALSE(others_can_lock());
    other->unlock_shared();
    EXPECT_EQ(readers_of(mutex_), 1u);
    mutex_.unlock_shared();
    EXPECT_TRUE(others_can_lock());
  }
}

TEST_P(robust_shared_mutex_test, who_would_wait_for_itself_is_refused) {
  mutex_.lock();
  expect_error(
      errc::deadlock, [&] { mutex_.lock(); }, "lock() of the writer");
  expect_error(
      errc::deadlock, [&] { mutex_.lock_shared(); }, "lock_shared() of the writer");
  EXPECT_FALSE(mutex_.try_lock());
  EXPECT_FALSE(mutex_.try_lock_shared());
  mutex_.unlock();
  mutex_.lock_shared();
  expect_error(
      errc::deadlock, [&] { mutex_.lock(); }, "lock() of a reader");
  EXPECT_FALSE(mutex_.try_lock());
  expect_error(
      errc::deadlock, [&] { static_cast<void>(mutex_.try_lock_for(1h)); }, "try_lock_for() of a reader");
  mutex_.unlock_shared();
  EXPECT_TRUE(others_can_lock());
}

TEST_P(robust_shared_mutex_test, what_is_not_held_is_not_given_back) {
  expect_error(
      errc::not_owner, [&] { mutex_.unlock(); }, "unlock()");
  expect_error(
      errc::not_owner, [&] { mutex_.unlock_shared(); }, "unlock_shared()");
  mutex_.lock_shared();
  expect_error(
      errc::not_owner, [&] { mutex_.unlock(); }, "unlock() of a reader");
  std::thread([&] {
    std::error_code error;
    mutex_.unlock_shared(error);
    EXPECT_EQ(error, errc::not_owner);
  }).join();
  EXPECT_FALSE(others_can_lock());
  mutex_.unlock_shared();
  mutex_.lock();
  expect_error(
      errc::not_owner, [&] { mutex_.unlock_shared(); }, "unlock_shared() of the writer");
  mutex_.unlock();
}

TEST_P(robust_shared_mutex_test, outside_of_a_segment_and_after_its_end) {
  alignas(64) std::array<std::byte, sizeof(robust_shared_mutex)> memory{};
  expect_error(
      errc::not_in_segment, [&] { ::new (memory.data()) robust_shared_mutex("shared"); }, "the constructor");
  auto& stray = reinterpret_cast<robust_shared_mutex&>(memory);
  expect_error(
      errc::not_in_segment, [&] { stray.lock(); }, "lock()");
  expect_error(
      errc::not_in_segment, [&] { stray.lock_shared(); }, "lock_shared()");
  robust_shared_mutex& ended = make("ended");
  ASSERT_TRUE(where_.destroy<robust_shared_mutex>("ended"));
  expect_error(
      errc::damaged, [&] { ended.lock(); }, "lock() after the end");
  expect_error(
      errc::damaged, [&] { ended.lock_shared(); }, "lock_shared() after the end");
}

TEST_P(robust_shared_mutex_test, one_that_is_held_is_not_destroyed) {
  std::thread([&] {
    mutex_.lock_shared();
    expect_error(
        errc::in_use, [&] { where_.destroy<robust_shared_mutex>("mutex"); }, "held shared");
    mutex_.unlock_shared();
    mutex_.lock();
    expect_error(
        errc::in_use, [&] { where_.destroy<robust_shared_mutex>("mutex"); }, "held alone");
    mutex_.unlock();
  }).join();
  EXPECT_TRUE(where_.destroy<robust_shared_mutex>("mutex"));
}

// A thread that ends inside counts as dead, and its record is given to others only once the kernel says so.
TEST_P(robust_shared_mutex_test, a_thread_that_ends_while_it_reads) {
  std::thread([&] { mutex_.lock_shared(); }).join();
  mutex_.lock();
  mutex_.unlock();
  EXPECT_EQ(readers_of(mutex_), 0u);
}

// The handle goes, the hold stays: so does the thread's record, and the mapping.
TEST_P(robust_shared_mutex_test, held_shared_beyond_the_last_handle) {
  std::thread([&] {
    std::optional<segment> own(segment::anonymous(with(GetParam())));
    auto& mutex = own->find_or_construct<robust_shared_mutex>("mutex", "shared");
    mutex.lock_shared();
    own.reset();
    std::thread([&] { EXPECT_FALSE(mutex.try_lock()); }).join();
    mutex.unlock_shared();
  }).join();
}

TEST_P(robust_shared_mutex_test, in_a_repair_only_tried) {
  auto& broken = where_.find_or_construct<robust_mutex>("broken", "broken");
  std::thread([&] { broken.lock(); }).join();
  bool tried = false;
  const auto repair = on_owner_death(where_, "broken", [&](const owner_death&) {
    expect_error(
        errc::in_repair, [&] { mutex_.lock(); }, "lock()");
    expect_error(
        errc::in_repair, [&] { mutex_.lock_shared(); }, "lock_shared()");
    if (mutex_.try_lock_shared()) mutex_.unlock_shared();
    if (mutex_.try_lock()) {
      tried = true;
      mutex_.unlock();
    }
    return repaired;
  });
  broken.lock();
  broken.unlock();
  EXPECT_TRUE(tried);
  EXPECT_TRUE(others_can_lock());
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
    if (!mutex_.try_lock_for(testing::default_timeout())) {
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
  auto& value = where_.find_or_construct<guarded<both, robust_shared_mutex>>("both", "both");
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
  auto& value = where_.find_or_construct<guarded<int, robust_shared_mutex>>("int", "int", 42);
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

// The repair of a class knows where the value lies, which is not where it is beside a robust_mutex.
TEST_P(robust_shared_mutex_test, a_class_belongs_to_one_kind_of_mutex) {
  const auto repair = on_owner_death<int, robust_shared_mutex>(where_, "int", [](int& x, const owner_death&) {
    x = 7;
    return repaired;
  });
  expect_error(
      errc::type_mismatch, [&] { static_cast<void>(where_.find_or_construct<guarded<int>>("plain", "int", 1)); }, "a plain one of that class");
  auto& value = where_.find_or_construct<guarded<int, robust_shared_mutex>>("int", "int", 42);
  std::thread([&] {
    value.mutex().lock();
    value.unguarded() = -1;
  }).join();
  EXPECT_EQ(*value.lock_shared(), 7);
}

TEST_P(robust_shared_mutex_test, not_recoverable_and_reset) {
  auto& value = where_.find_or_construct<guarded<int, robust_shared_mutex>>("int", "int", 42);
  std::thread([&] { value.mutex().lock(); }).join();
  expect_error(
      errc::owner_died_unrepaired, [&] { static_cast<void>(value.lock_shared()); }, "a reader without a repair");
  expect_error(
      errc::owner_died_unrepaired, [&] { static_cast<void>(value.lock()); }, "a writer without a repair");
  {
    const auto repair = on_owner_death<int, robust_shared_mutex>(where_, "int", [](int&, const owner_death&) { return failed; });
    for (unsigned i = 0; i < where_.options().attempts; ++i) {
      expect_error(
          errc::repair_failed, [&] { static_cast<void>(value.lock_shared()); }, "a reader whose repair fails");
    }
  }
  expect_error(
      errc::not_recoverable, [&] { static_cast<void>(value.lock_shared()); }, "a reader after the last attempt");
  EXPECT_TRUE(reset(value, [](int& x, const owner_death&) {
    x = 1;
    return repaired;
  }));
  EXPECT_EQ(*value.lock_shared(), 1);
  EXPECT_EQ(*value.lock(), 1);
}

INSTANTIATE_TEST_SUITE_P(form, robust_shared_mutex_test, ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         [](const auto& form) { return form.param == reader_marks::locked ? "locked" : "automatic"; });

}  // namespace
}  // namespace outlive
