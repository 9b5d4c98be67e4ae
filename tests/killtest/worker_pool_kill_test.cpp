// The showcase's repair, killed at each store. It is built twice (docs/examples/meson.build): with
// -DBROKEN_REPAIR the showcase leaves out the heart of its repair, and the kit must find that.
#include <outlive/killtest/gtest.hpp>

#include <iostream>

#include "killtest/worker_pool.hpp"

namespace outlive::killtest::testing {
namespace {

#ifndef BROKEN_REPAIR

TEST(worker_pool_kill, a_merge_counts_once_wherever_worker_and_heirs_die) {
  const report found = explore(merging_scenario());
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.nested_points, 100U) << found;
  EXPECT_TRUE(found.cut.empty()) << found;
  RecordProperty("states", static_cast<int>(found.states.size()));
  std::cout << found;
}

#else

TEST(worker_pool_kill, the_broken_repair_is_found) {
  const report found = explore(merging_scenario());
  ASSERT_NE(found.first_failure(), nullptr) << found;
  EXPECT_EQ(found.first_failure()->result, verdict::invariant_violated) << found;
  EXPECT_TRUE(found.first_failure()->confirmed) << found;
}

#endif

}  // namespace
}  // namespace outlive::killtest::testing
