// What a robust mutex refuses: misuse, memory that is no mutex, and more than a thread may hold.
#include <outlive/robust_mutex.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct robust_mutex_misuse : ::testing::Test {
  test_name name;
  segment seg = segment::create(name);
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  robust_mutex& other = seg.find_or_construct<robust_mutex>("other", "class");

  // The start of every message about `mutex`.
  std::string described() const { return name.quoted() + ", mutex \"mutex\" of class \"class\""; }
};

TEST_F(robust_mutex_misuse, relock_by_the_holder_is_a_deadlock) {
  mutex.lock();
  expect_error(errc::deadlock, {described(), "this thread holds the mutex already"},
               [&] { mutex.lock(); });
  std::error_code error;
  mutex.lock(error);
  EXPECT_EQ(error, errc::deadlock);
  expect_error(errc::deadlock, {described()},
               [&] { (void)mutex.try_lock_for(std::chrono::hours(1)); });
  EXPECT_FALSE(mutex.try_lock_for(std::chrono::hours(1), error));
  EXPECT_EQ(error, errc::deadlock);
  EXPECT_FALSE(mutex.try_lock());
  // It is still held, once.
  elsewhere([&] { EXPECT_FALSE(mutex.try_lock()); });
  mutex.unlock();
  elsewhere([&] { EXPECT_EQ(lock_code(mutex), std::error_code()); });
}

TEST_F(robust_mutex_misuse, relock_while_another_segment_is_in_use) {
  segment another = segment::anonymous();
  auto& elsewhere_lock = another.find_or_construct<robust_mutex>("mutex", "class");
  mutex.lock();
  elsewhere_lock.lock();  // the thread's fast path is on that segment now
  EXPECT_EQ(lock_code(mutex), errc::deadlock);
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  elsewhere_lock.unlock();
  EXPECT_EQ(lock_code(mutex), std::error_code());
}

TEST_F(robust_mutex_misuse, unlock_of_what_is_not_held_is_refused) {
  const auto refused = [&] {
    expect_error(errc::not_owner,
                 {described(), " as its holder, expected this thread",
                  "this thread does not hold the mutex"},
                 [&] { mutex.unlock(); });
    std::error_code error;
    mutex.unlock(error);
    EXPECT_EQ(error, errc::not_owner);
  };
  refused();  // free, and this thread never locked
  mutex.lock();
  elsewhere(refused);  // a thread without a record
  elsewhere([&] {
    other.lock();
    refused();
    other.unlock();
  });  // one with a record
  elsewhere([&] { EXPECT_FALSE(mutex.try_lock()); });
  mutex.unlock();
  refused();  // once too often
}

// As a seccomp filter or an emulator leaves it, or a thread made by raw clone: its death would go
// unnoticed.
TEST_F(robust_mutex_misuse, a_thread_without_a_robust_list_is_refused) {
  elsewhere([&] {
    void* head = nullptr;
    std::size_t size = 0;
    ASSERT_EQ(::syscall(SYS_get_robust_list, 0, &head, &size), 0);
    ASSERT_EQ(::syscall(SYS_set_robust_list, nullptr, size), 0);
    expect_error(
        errc::no_robust_list,
        {name.quoted(), "found no robust list of this thread in the kernel", "expected one"},
        [&] { mutex.lock(); });
    EXPECT_EQ(lock_code(mutex), errc::no_robust_list);
    std::error_code error;
    EXPECT_FALSE(mutex.try_lock(error));
    EXPECT_EQ(error, errc::no_robust_list);
    ASSERT_EQ(::syscall(SYS_set_robust_list, head, size), 0);
    EXPECT_EQ(lock_code(mutex), std::error_code());
  });
}

TEST_F(robust_mutex_misuse, ordinary_memory_is_refused_at_construction) {
  const auto refused = [](const std::function<void()>& act) {
    expect_error(errc::not_in_segment,
                 {"robust mutex of class \"class\"", "found it in ordinary memory",
                  "expected it in a segment"},
                 act);
  };
  refused([] { const robust_mutex on_the_stack("class"); });
  refused([] { const auto on_the_heap = std::make_unique<robust_mutex>("class"); });
  refused([] { const guarded<int> on_the_stack("class", 5); });
}

TEST_F(robust_mutex_misuse, a_copy_of_its_bytes_outside_is_refused) {
  alignas(64) std::array<char, sizeof(robust_mutex)> bytes;
  std::memcpy(bytes.data(), static_cast<const void*>(&mutex), bytes.size());
  auto& copy = reinterpret_cast<robust_mutex&>(bytes);
  expect_error(errc::not_in_segment, {"mutex in ordinary memory"}, [&] { copy.lock(); });
  EXPECT_EQ(lock_code(copy), errc::not_in_segment);
  expect_error(errc::not_in_segment, {"mutex in ordinary memory"}, [&] { (void)copy.try_lock(); });
  EXPECT_EQ(copy.lock_class(), "unknown");
  std::error_code error;
  copy.unlock(error);
  EXPECT_EQ(error, errc::not_owner);
}

// What overwritten memory can look like: zeros, ones, noise, and zeros over some of its words.
TEST_F(robust_mutex_misuse, overwritten_memory_is_damaged_and_never_a_lock) {
  const std::string whole(reinterpret_cast<const char*>(&mutex), sizeof mutex);
  std::vector<std::string> pictures{std::string(64, '\0'), std::string(64, '\xff'),
                                    std::string(64, '\xa5')};
  for (const auto& [begin, size] :
       {std::pair<std::size_t, std::size_t>{40, 8}, {48, 8}, {52, 4}, {0, 48}, {0, 56}, {40, 16}}) {
    std::string part = whole;
    part.replace(begin, size, size, '\0');
    pictures.push_back(part);
  }
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    for (const bool first_use : {false, true}) {
      std::memcpy(static_cast<void*>(&mutex), pictures[i].data(), sizeof mutex);
      const auto refused = [&] {
        SCOPED_TRACE(i);
        expect_error(errc::damaged, {name.quoted() + ", mutex \"mutex\"", "damaged"},
                     [&] { mutex.lock(); });
        EXPECT_EQ(lock_code(mutex), errc::damaged);
        std::error_code error;
        EXPECT_FALSE(mutex.try_lock(error));
        EXPECT_EQ(error, errc::damaged);
        EXPECT_FALSE(mutex.try_lock_for(std::chrono::hours(1), error));
        EXPECT_EQ(error, errc::damaged);
        mutex.unlock(error);
        EXPECT_EQ(error, errc::not_owner);
      };
      if (first_use) {
        elsewhere(refused);
      } else {
        other.lock();  // the fast path is on this segment
        other.unlock();
        refused();
      }
    }
  }
  std::memcpy(static_cast<void*>(&mutex), whole.data(), sizeof mutex);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(lock_code(other), std::error_code());
}

TEST_F(robust_mutex_misuse, memory_of_a_segment_that_holds_no_mutex_is_damaged) {
  auto& bytes = seg.find_or_construct<std::array<char, 256>>("bytes");
  bytes.fill('x');
  auto& none = reinterpret_cast<robust_mutex&>(bytes);
  expect_error(errc::damaged, {name.quoted() + ", mutex \"bytes\""}, [&] { none.lock(); });
  auto& header = *static_cast<robust_mutex*>(const_cast<void*>(seg.base()));
  expect_error(errc::damaged, {name.quoted() + ", mutex at offset 0"}, [&] { header.lock(); });
}

// Each use of such a reference is undefined behaviour, which is what UndefinedBehaviorSanitizer
// ends the program for, before the library can say anything.
#ifndef OUTLIVE_TESTS_UNDER_UBSAN
TEST_F(robust_mutex_misuse, a_misaligned_address_is_damaged) {
  auto& bytes = seg.find_or_construct<std::array<char, 256>>("bytes");
  bytes.fill('x');
  EXPECT_EQ(lock_code(reinterpret_cast<robust_mutex&>(bytes[8])), errc::damaged);
}
#endif

TEST_F(robust_mutex_misuse, more_than_max_held_is_refused) {
  std::vector<robust_mutex*> all;
  for (int i = 0; i < 66; ++i)
    all.push_back(&seg.find_or_construct<robust_mutex>("m" + std::to_string(i), "class"));
  for (std::size_t i = 0; i < 64; ++i) all[i]->lock();
  expect_error(errc::too_many_locks,
               {name.quoted() + ", mutex \"m64\"",
                "found 64 mutexes of the segment held by this thread, expected fewer than 64",
                "this thread holds too many mutexes"},
               [&] { all[64]->lock(); });
  std::error_code error;
  EXPECT_FALSE(all[64]->try_lock(error));
  EXPECT_EQ(error, errc::too_many_locks);
  // another thread's count is its own
  elsewhere([&] { EXPECT_EQ(lock_code(*all[64]), std::error_code()); });
  all[30]->unlock();
  all[64]->lock();
  EXPECT_EQ(lock_code(*all[65]), errc::too_many_locks);
  for (std::size_t i = 0; i < 65; ++i)
    if (i != 30) all[i]->unlock();
  EXPECT_EQ(lock_code(*all[65]), std::error_code());
}

TEST_F(robust_mutex_misuse, more_than_1900_in_all_segments_is_refused) {
  segment_options options;
  options.max_held = 1900;
  options.directory_capacity = 2000;
  std::array<segment, 2> segs{segment::anonymous(options), segment::anonymous(options)};
  std::vector<robust_mutex*> all;
  for (std::size_t i = 0; i < 2000; ++i) {
    all.push_back(&segs[i % 2].find_or_construct<robust_mutex>("m" + std::to_string(i), "class"));
  }
  std::size_t held = 0;
  std::error_code error;
  while (held < all.size()) {
    all[held]->lock(error);
    if (error) break;
    ++held;
  }
  EXPECT_EQ(error, errc::too_many_locks);
  // This fixture's segment is not in use by this thread; each of the two takes one for the thread
  // itself.
  EXPECT_EQ(held, 1898U);
  EXPECT_EQ(lock_code(mutex), errc::too_many_locks);
  for (std::size_t i = 0; i < held; ++i) all[i]->unlock();
  EXPECT_EQ(lock_code(mutex), std::error_code());
  for (auto* each : all) EXPECT_EQ(lock_code(*each), std::error_code());
}

}  // namespace
}  // namespace outlive::testing
