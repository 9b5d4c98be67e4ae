// A critical section of 2,000 stores, with an undo journal that is right.
#include <outlive/killtest/gtest.hpp>

#include "killtest/long_section.hpp"

namespace outlive::killtest::testing {
namespace {

TEST(long_section, a_correct_section_of_2000_stores_survives_each_death_of_its_owner) {
  explore_options how;
  how.depth = 1;
  const report found = explore(long_section_scenario(), how);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.stores, 2'000U);
  EXPECT_GT(found.states.size(), 2'000U);
}

TEST(long_section, a_repair_that_leaves_one_cell_of_664_out_is_found) {
  explore_options how;
  how.depth = 1;
  const report found = explore(long_section_scenario(&roll_back_all_but_one), how);
  ASSERT_NE(found.first_failure(), nullptr) << found;
  EXPECT_EQ(found.first_failure()->result, verdict::invariant_violated) << found;
  EXPECT_GT(found.failed(), table::cells / 2)
      << "each death after the store to that cell, up to the end of the section";
  EXPECT_TRUE(found.first_failure()->confirmed) << found;
}

}  // namespace
}  // namespace outlive::killtest::testing
