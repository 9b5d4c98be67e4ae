// Crash barriers of the user's code that explore() takes out.
#define OUTLIVE_OBSERVE_CRASH_BARRIERS

#include <outlive/crash_barrier.hpp>
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include <string>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// The line of the barrier between debit and credit.
constexpr unsigned line_between = __LINE__ + 9;

void transfer_with_barriers(bank& of, long amount) {
  of.undo.a = of.a;
  of.undo.b = of.b;
  OUTLIVE_CRASH_BARRIER();
  of.undo.valid = 1;
  OUTLIVE_CRASH_BARRIER();
  of.a -= amount;
  OUTLIVE_CRASH_BARRIER();
  of.b += amount;
  OUTLIVE_CRASH_BARRIER();
  of.undo.valid = 0;
}

constexpr unsigned line_undone = __LINE__ + 5;

repair_result undo_with_barriers(bank& of, const owner_death&) {
  if (of.undo.valid == 0) return repaired;
  of.a = of.undo.a;
  OUTLIVE_CRASH_BARRIER();
  of.b = of.undo.b;
  OUTLIVE_CRASH_BARRIER();
  of.undo.valid = 0;
  return repaired;
}

/// The undo journal restores both: their order does not matter. All the others are needed.
TEST(crash_barriers, one_that_makes_no_difference_is_named_with_its_line) {
  const report found = explore(bank_scenario(&undo_in_order, &transfer_with_barriers));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_THAT(found.made_no_difference,
              ElementsAre(HasSubstr("crash_barriers_test.cpp:" + std::to_string(line_between))));
}

TEST(crash_barriers, those_of_a_repair_are_taken_out_too) {
  const report found = explore(bank_scenario(&undo_with_barriers, &transfer_with_barriers));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_THAT(found.made_no_difference,
              ElementsAre(HasSubstr("crash_barriers_test.cpp:" + std::to_string(line_between)),
                          HasSubstr("crash_barriers_test.cpp:" + std::to_string(line_undone))));
}

}  // namespace
}  // namespace outlive::killtest::testing
