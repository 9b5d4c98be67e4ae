// explore(): a repair that holds at each crash state, and repairs that do not, each of another kind.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(explore, a_correct_repair_survives_all_deaths) {
  const report found = explore(bank_scenario(&undo_in_order));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.points, found.stores) << "a death after each store, and before the first";
  EXPECT_GT(found.nested_points, 0U) << "heirs died, too";
  EXPECT_GT(found.repairs, 10U);
  EXPECT_EQ(found.confirmed, 32U);
  EXPECT_TRUE(found.cut.empty()) << found;
}

TEST(explore, a_repair_that_clears_the_journals_flag_before_it_has_restored_fails_only_when_its_heir_dies) {
  const report found = explore(bank_scenario(&clear_flag_first));
  ASSERT_FALSE(found.ok());
  for (const crash_state& each : found.states) {
    if (each.result == verdict::ok) continue;
    EXPECT_EQ(each.result, verdict::invariant_violated);
    EXPECT_GE(each.deaths.size(), 2U);
    EXPECT_TRUE(each.confirmed) << found;
    EXPECT_THAT(each.what, HasSubstr("not 1000"));
  }
}

// ---- what the report says of the source -------------------------------------------------------------------------------
bool is_line_of(const code_line& line, const std::string& function) {
  return line.file.ends_with("killtest/bank.hpp") && line.function.ends_with("::" + function);
}

TEST(explore, all_lines_of_the_functions_with_stores_are_told_and_no_stack_ends_in_the_kit) {
  const report found = explore(bank_scenario(&undo_in_order));
  EXPECT_GE(std::count_if(found.code.begin(), found.code.end(), [](const code_line& each) { return is_line_of(each, "transfer"); }), 8);
  EXPECT_GE(std::count_if(found.code.begin(), found.code.end(), [](const code_line& each) { return is_line_of(each, "undo_in_order"); }), 4)
      << "the repair's, too";
  EXPECT_EQ(found.points_at.size(), found.stacks.size());
  EXPECT_EQ(std::accumulate(found.points_at.begin(), found.points_at.end(), std::size_t{0}), found.points + found.nested_points);
  for (const std::vector<frame>& stack : found.stacks) {
    for (const frame& each : stack) EXPECT_THAT(each.file, Not(HasSubstr("lib/killtest/"))) << to_string(stack);
  }
}

TEST(explore, a_stack_has_the_functions_that_others_were_inlined_into) {
  const report found = explore(bank_scenario(&undo_in_order));
  std::size_t in_transfer = 0;
  for (const std::vector<frame>& stack : found.stacks) {
    if (stack.empty() || !stack.front().function.ends_with("::transfer")) continue;
    ++in_transfer;
    ASSERT_GE(stack.size(), 2U) << to_string(stack);
    EXPECT_THAT(stack[1].function, HasSubstr("bank_scenario::{lambda#3}"));
  }
  EXPECT_GE(in_transfer, 4U);
}

}  // namespace
}  // namespace outlive::killtest::testing
