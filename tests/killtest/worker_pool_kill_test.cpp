// The showcase's repair, killed at each store.
#include <outlive/killtest/gtest.hpp>

#include <iostream>

#include "killtest/worker_pool.hpp"

namespace outlive::killtest::testing {
namespace {

TEST(worker_pool_kill, a_merge_counts_once_wherever_worker_and_heirs_die) {
  const report found = explore(merging_scenario());
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.nested_points, 100U) << found;
  EXPECT_TRUE(found.cut.empty()) << found;
  RecordProperty("states", static_cast<int>(found.states.size()));
  std::cout << found;
}

}  // namespace
}  // namespace outlive::killtest::testing
