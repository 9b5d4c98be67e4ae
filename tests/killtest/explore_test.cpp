// explore(): a repair that holds at each crash state, and repairs that do not, each of another
// kind.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::ElementsAre;
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

TEST(explore,
     a_repair_that_clears_the_journals_flag_before_it_has_restored_fails_only_when_its_heir_dies) {
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

// ---- bounds ------------------------------------------------------------------------------------
TEST(explore, what_a_bound_has_left_out_is_said) {
  explore_options how;
  how.depth = 1;
  EXPECT_THAT(explore(bank_scenario(&clear_flag_first), how).summary(),
              HasSubstr("left out: deaths of heirs after 1 deaths in a row (depth)"));
  how = {};
  how.max_states = 5;
  const report few = explore(bank_scenario(&undo_in_order), how);
  EXPECT_EQ(few.states.size(), 5U);
  EXPECT_THAT(few.summary(), HasSubstr("left out: what comes after 5 states (max_states)"));
  how = {};
  how.confirm = 1;
  EXPECT_THAT(explore(bank_scenario(&clear_flag_first), how).summary(),
              HasSubstr("of the failing states (confirm)"));
}

TEST(explore, a_search_that_is_longer_than_its_budget_reports_what_it_has) {
  const char* const of_suite = std::getenv("OUTLIVE_KILLTEST_BUDGET");
  const std::string kept = of_suite == nullptr ? "" : of_suite;
  ASSERT_EQ(::unsetenv("OUTLIVE_KILLTEST_BUDGET"), 0);
  explore_options how;
  how.budget = std::chrono::milliseconds(1);
  const report found = explore(bank_scenario(&undo_in_order), how);
  ASSERT_EQ(::setenv("OUTLIVE_KILLTEST_BUDGET", "0", 1), 0);
  const report whole = explore(bank_scenario(&undo_in_order), how);
  ASSERT_EQ(::setenv("OUTLIVE_KILLTEST_BUDGET", "soon", 1), 0);
  EXPECT_THROW(static_cast<void>(explore(bank_scenario(&undo_in_order), how)),
               std::invalid_argument);
  ASSERT_EQ(of_suite == nullptr ? ::unsetenv("OUTLIVE_KILLTEST_BUDGET")
                                : ::setenv("OUTLIVE_KILLTEST_BUDGET", kept.c_str(), 1),
            0);
  EXPECT_THAT(found.cut, ElementsAre(HasSubstr("(budget)")));
  EXPECT_LT(found.states.size(), whole.states.size());
  EXPECT_TRUE(whole.cut.empty()) << whole;
  EXPECT_TRUE(whole.ok()) << whole;
}

// ---- where the model is not the truth ----------------------------------------------------------
TEST(explore, a_victim_that_does_something_else_when_it_is_killed_for_real_is_told) {
  void* const memory =
      ::mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& runs = *static_cast<std::atomic<long>*>(memory);
  scenario counts = bank_scenario(&undo_in_order);
  counts.victim = [&](segment& seg) {
    const long run = ++runs;
    // the first two are logged, and compared with the log
    seg.find<guarded<bank>>("accounts")->lock()->undo.b = run <= 2 ? 1 : run;
  };
  explore_options how;
  how.depth = 1;
  const report found = explore(counts, how);
  ::munmap(memory, sizeof(long));
  ASSERT_NE(found.first_failure(), nullptr) << found;
  EXPECT_EQ(found.first_failure()->result, verdict::model_differs) << found;
  EXPECT_FALSE(found.first_failure()->confirmed);
  EXPECT_THAT(found.first_failure()->what,
              HasSubstr("a real SIGKILL left other bytes in \"accounts\""));
}

// A repair that notes who repaired, by a process id.
struct noted_bank {
  long a = 500;
  long b = 500;
  long repaired_by = 0;
};

scenario bank_that_notes_who_repaired() {
  scenario made;
  made.name = "bank that notes who repaired";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<noted_bank>>("accounts", "account"));
  };
  made.repairs = [](segment& seg) {
    return all_of(
        on_owner_death<noted_bank>(seg, "account", [](noted_bank& of, const owner_death&) {
          of.b = 1000 - of.a;
          of.repaired_by = ::getpid();
          return repaired;
        }));
  };
  made.victim = [](segment& seg) {
    auto held = seg.find<guarded<noted_bank>>("accounts")->lock();
    held->a -= 1;
    crash_barrier();
    held->b += 1;
  };
  made.invariant = [](segment& seg) {
    const auto held = seg.find<guarded<noted_bank>>("accounts")->lock();
    return held->a + held->b == 1000 ? std::string() : "money is lost";
  };
  return made;
}

TEST(explore, a_repair_that_stores_a_process_id_is_named_with_the_line_that_ignores_it) {
  scenario what = bank_that_notes_who_repaired();
  const report found = explore(what);
  EXPECT_FALSE(found.ok());
  EXPECT_THAT(found.fault,
              HasSubstr("an heir differs from run to run: a second one, from the same state, "
                        "left other bytes in \"accounts\", at byte "));
  const std::string line = "(seg.base()) + ";
  const std::size_t at = found.fault.find(line);
  ASSERT_NE(at, std::string::npos) << found.fault;
  const std::size_t offset = std::stoul(found.fault.substr(at + line.size()));
  what.ignored = [=](segment& seg) {
    return std::vector{std::span(static_cast<const std::byte*>(seg.base()) + offset, 8)};
  };
  EXPECT_SURVIVES_KILLS(what);
}

TEST(explore, a_victim_that_changes_nothing_of_the_users_proves_nothing) {
  scenario idle = bank_scenario(&undo_in_order, [](bank&, long) {});
  const report found = explore(idle);
  EXPECT_FALSE(found.ok());
  EXPECT_THAT(found.fault, HasSubstr("nothing of yours was changed"));
}

TEST(explore, a_repair_that_no_state_needs_is_named) {
  EXPECT_TRUE(explore(bank_scenario(&undo_in_order)).made_no_difference.empty());
  scenario lenient = bank_scenario(&undo_in_order);
  lenient.invariant = [](segment&) { return std::string(); };
  EXPECT_THAT(explore(lenient).made_no_difference,
              ElementsAre(HasSubstr("the repair of \"accounts\"")));
}

/// A start time is told in ticks, so that storing it changes something in some runs and nothing in
/// others; so may whatever the scenario ignores.
TEST(explore, a_store_that_changes_something_in_some_runs_only) {
  using note = std::atomic<long>;
  void* const memory =
      ::mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& runs = *static_cast<std::atomic<long>*>(memory);
  scenario what = bank_scenario(&undo_in_order);
  what.make = [make = what.make](segment& seg) {
    make(seg);
    seg.find_or_construct<note>("note") = 0;
  };
  what.ignored = [](segment& seg) {
    return std::vector{std::as_bytes(std::span(seg.find<note>("note"), 1))};
  };
  what.victim = [&runs, transfer_it = what.victim](segment& seg) {
    *seg.find<note>("note") = runs++ % 2;  // nothing in the run that is logged
    transfer_it(seg);
  };
  const report found = explore(what, {});
  ::munmap(memory, sizeof(long));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.confirmed, 5u);
}

TEST(explore, a_verdict_that_depends_on_the_heirs_process_is_told) {
  scenario forgets = bank_scenario(&undo_in_order);
  forgets.invariant = [](segment&) {
    static int asked = 0;
    return ++asked == 1 ? std::string("nobody was asked before") : std::string();
  };
  explore_options how;
  how.depth = 1;
  const report found = explore(forgets, how);
  EXPECT_GT(found.failed(), 1U) << found;
  EXPECT_THAT(found.summary(),
              HasSubstr("model differs from reality: after a real SIGKILL the heir came to "
                        "\"invariant violated\" nobody was asked before"));
}

// ---- what the report says of the source --------------------------------------------------------
bool is_line_of(const code_line& line, const std::string& function) {
  return line.file.ends_with("killtest/bank.hpp") && line.function.ends_with("::" + function);
}

TEST(explore, all_lines_of_the_functions_with_stores_are_told_and_no_stack_ends_in_the_kit) {
  const report found = explore(bank_scenario(&undo_in_order));
  EXPECT_GE(std::count_if(found.code.begin(), found.code.end(),
                          [](const code_line& each) { return is_line_of(each, "transfer"); }),
            8);
  EXPECT_GE(std::count_if(found.code.begin(), found.code.end(),
                          [](const code_line& each) { return is_line_of(each, "undo_in_order"); }),
            4)
      << "the repair's, too";
  EXPECT_EQ(found.points_at.size(), found.stacks.size());
  EXPECT_EQ(std::accumulate(found.points_at.begin(), found.points_at.end(), std::size_t{0}),
            found.points + found.nested_points);
  for (const std::vector<frame>& stack : found.stacks) {
    for (const frame& each : stack)
      EXPECT_THAT(each.file, Not(HasSubstr("lib/killtest/"))) << to_string(stack);
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
