// A program that is compiled without the optimiser, as tests/killtest/meson.build has it: the
// report says so.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include "killtest/bank.hpp"

#if defined(__OPTIMIZE__)
#error "this test is about a build with -O0"
#endif

namespace outlive::killtest::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(unoptimised, code_is_told_by_a_warning_and_passes) {
  explore_options how;
  how.depth = 1;
  const report found = explore(bank_scenario(&undo_in_order), how);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_THAT(found.warnings, Contains(HasSubstr("built without -O")));
  EXPECT_THAT(
      found.summary(),
      HasSubstr("warning: built without -O: stores that the optimiser would move are not seen"));
  EXPECT_THAT(survives_kills(bank_scenario(&undo_in_order), how).message(),
              HasSubstr("built without -O"));
}

TEST(unoptimised, a_caller_that_says_that_it_is_optimised_is_believed) {
  explore_options how;
  how.depth = 1;
  EXPECT_THAT(explore(bank_scenario(&undo_in_order), how, code_build::optimised).warnings,
              Not(Contains(HasSubstr("-O"))));
}

}  // namespace
}  // namespace outlive::killtest::testing
