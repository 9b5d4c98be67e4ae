// A segment of 64 MiB: what a crash state takes is the stores that differ, and no copy of the
// segment.
//
// Whole copies are there a few times in all, however many states there are: the segment itself, the
// bytes that a new heir begins with, the victim's run without a log, and one copy at a time for a
// real kill. That bounds the memory of the process that explores, and of each process that it
// forks.
#include <outlive/killtest/gtest.hpp>

#include <sys/resource.h>

#include <algorithm>

#include "killtest/large_bank.hpp"

namespace outlive::killtest::testing {
namespace {

// The largest one so far: of this process, and of any that it has forked and waited for.
std::size_t peak_bytes() {
  std::size_t peak = 0;
  for (const int whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(whose, &used);
    peak = std::max(peak, static_cast<std::size_t>(used.ru_maxrss) * 1024);
  }
  return peak;
}

TEST(large_segment, each_state_of_a_section_is_explored_and_memory_does_not_grow_with_them) {
  for (const engine which : {engine::automatic, engine::single_step}) {
    explore_options how;
    how.with = which;
    how.depth = 2;
    how.confirm = 4;
    const report found = explore(large_bank(&clear_flag_first), how);
    EXPECT_GT(found.failed(), 0U) << "the repair is wrong when its heir dies: " << found;
    EXPECT_TRUE(found.fault.empty()) << found;
    EXPECT_GT(found.confirmed, 0U) << found;
    EXPECT_GT(found.states.size(), 40U) << found;
    EXPECT_EQ(found.used == engine::single_step, which == engine::single_step) << found;
    RecordProperty(std::string(to_string(found.used)) + ", MiB",
                   static_cast<int>(peak_bytes() / mebibyte));
    EXPECT_LT(peak_bytes(), 6 * 64 * mebibyte) << "after " << found.states.size() << " states";
  }
}

}  // namespace
}  // namespace outlive::killtest::testing
