// explore(): a repair that holds at each crash state, and repairs that do not, each of another kind.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::HasSubstr;

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

}  // namespace
}  // namespace outlive::killtest::testing
