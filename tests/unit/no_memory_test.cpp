// No memory left: lock() says so, or needs none, and leaves nothing behind. Each allocation on the
// way fails once.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include <outlive/repair.hpp>

#include "unit/robust_mutex_fixture.hpp"

namespace {

// How many allocations of this thread still succeed.
constinit thread_local int allocations_left = -1;

}  // namespace

// Not inlined, where gcc sees malloc and free and takes them for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace outlive::testing {
namespace {

struct no_memory : ::testing::Test {
  test_name name;
  segment seg = segment::create(name, few_of_everything());
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  robust_mutex& other = seg.find_or_construct<robust_mutex>("other", "class");

  // Of a new thread that may allocate so often.
  std::error_code first_lock(int allocations) {
    std::error_code error;
    elsewhere([&] {
      allocations_left = allocations;
      mutex.lock(error);
      allocations_left = -1;
      if (!error) mutex.unlock();
    });
    return error;
  }
};

// In a process of its own for each, because much is made at a process's first lock only.
TEST_F(no_memory, at_a_first_lock_is_told_and_leaves_nothing) {
  int failures = 0;
  bool succeeded = false;
  for (int allocations = 0; allocations < 100 && !succeeded; ++allocations) {
    SCOPED_TRACE(allocations);
    shared_value<int> worked;
    child("process", [&](agent&) {
      const std::error_code error = first_lock(allocations);
      if (error) {
        EXPECT_EQ(error, std::errc::not_enough_memory);
      }
      EXPECT_EQ(seg.threads_in_use(), 0U);
      EXPECT_EQ(first_lock(-1), std::error_code());
      worked.store(error ? 1 : 2);
    }).expect_exit();
    ASSERT_NE(worked.load(), 0);
    succeeded = worked.load() == 2;
    failures += succeeded ? 0 : 1;
  }
  EXPECT_TRUE(succeeded);
  EXPECT_GT(failures, 0);
}

// The mutex is in the heir's hand by then: an error that leaves it locked would be for ever.
TEST_F(no_memory, at_an_owners_death_is_no_matter_for_a_thread_that_has_locked_before) {
  const auto heir = [&](std::error_code expected) {
    child("heir", [&](agent&) {
      EXPECT_EQ(lock_code(other), std::error_code());
      allocations_left = 0;
      std::error_code error;
      mutex.lock(error);
      allocations_left = -1;
      EXPECT_EQ(error, expected);
      if (!error) mutex.unlock();
    }).expect_exit();
  };
  child("owner", [&](agent&) {
    mutex.lock();
    _exit(0);
  }).expect_exit();
  heir(errc::owner_died_unrepaired);
  const auto repair = on_owner_death(seg, "class", always_consistent);
  heir({});
}

}  // namespace
}  // namespace outlive::testing
