// No memory while a segment is made: each allocation on the way fails once, and none leaves a
// mapping behind.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "support/leaks.hpp"
#include "unit/segment_fixture.hpp"

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

TEST(segment_no_memory, leaves_no_mapping_behind) {
  { const segment first = segment::anonymous(few_of_everything()); }
  const auto before = holdings::of(getpid()).mappings_of("memfd:outlive");
  int failures = 0;
  for (int allocations = 0;; ++allocations) {
    ASSERT_LT(allocations, 100);
    bool made = false;
    try {
      allocations_left = allocations;
      const segment seg = segment::anonymous(few_of_everything());
      allocations_left = -1;
      made = true;
    } catch (const std::bad_alloc&) {
      allocations_left = -1;
      ++failures;
    }
    ASSERT_EQ(holdings::of(getpid()).mappings_of("memfd:outlive"), before)
        << "after " << allocations;
    if (made) break;
  }
  EXPECT_GT(failures, 0);
}

}  // namespace
}  // namespace outlive::testing
