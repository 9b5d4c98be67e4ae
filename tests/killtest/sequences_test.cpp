// run_sequences(): operations, deaths and recoveries in random order against a model.
#include <outlive/killtest/sequences.hpp>

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <outlive/guarded.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// `next` is where the next push stores, and equals `used` unless somebody died in between.
struct stack {
  std::int64_t items[32] = {};
  std::uint32_t used = 0;
  std::uint32_t next = 0;
};
using guarded_stack = guarded<stack>;
using items = std::vector<std::int64_t>;

template <class Items>
std::string listed(const Items& all, std::size_t count) {
  std::string text = "[";
  for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : " ") + std::to_string(all[i]);
  return text + "]";
}

void push(segment& seg, const operation_arguments& with) {
  const auto held = seg.find<guarded_stack>("stack")->lock();
  if (held->used == 32) return;
  held->items[held->next] = with[0];
  crash_barrier();
  held->used = held->next + 1;
  crash_barrier();
  held->next = held->used;
}

void pop(segment& seg, const operation_arguments&) {
  const auto held = seg.find<guarded_stack>("stack")->lock();
  if (held->used == 0) return;
  held->used = held->next - 1;
  crash_barrier();
  held->next = held->used;
}

model_test<items> stack_test(repair_result (*repair)(stack&, const owner_death&)) {
  model_test<items> made;
  made.name = "stack";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_stack>("stack", "stack"));
  };
  made.repairs = [=](segment& seg) { return all_of(on_owner_death<stack>(seg, "stack", repair)); };
  made.operations = {
      {"push",
       {{0, 9}},
       &push,
       [](items& all, const operation_arguments& with) {
         if (all.size() < 32) all.push_back(with[0]);
       }},
      {"pop",
       {},
       &pop,
       [](items& all, const operation_arguments&) {
         if (!all.empty()) all.pop_back();
       }},
  };
  made.observe = [](segment& seg) {
    const auto held = seg.find<guarded_stack>("stack")->lock();
    return listed(held->items, held->used);
  };
  made.expected = [](const items& all) { return listed(all, all.size()); };
  return made;
}

repair_result repair_next(stack& of, const owner_death&) {
  of.next = of.used;
  return repaired;
}

repair_result repair_nothing(stack&, const owner_death&) {
  return repaired;
}

std::string in_a_new_folder() {
  std::string made = std::filesystem::temp_directory_path() / "outlive-sequences-XXXXXX";
  return ::mkdtemp(made.data()) == nullptr ? std::string() : made;
}

TEST(sequences, a_right_repair_holds) {
  const sequence_report found = run_sequences(stack_test(&repair_next));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.sequences, 100U) << found;
  EXPECT_GT(found.deaths, 50U);
  EXPECT_GT(found.heirs, 10U);
  EXPECT_NE(found.seed, 0U);
  EXPECT_THAT(found.summary(), HasSubstr("seed " + std::to_string(found.seed)));
}

/// The state that this repair leaves looks right: its harm shows in the operation that comes next.
TEST(sequences, a_repair_that_breaks_the_next_operation_is_found_and_shortened) {
  model_test<items> test = stack_test(&repair_nothing);
  test.operations.resize(1);
  const sequence_report found = run_sequences(test);
  EXPECT_FALSE(found.ok()) << found;
  ASSERT_EQ(found.failing.size(), 2U) << found;
  EXPECT_THAT(found.failing[0], HasSubstr(", killed after store ")) << found;
  EXPECT_THAT(found.failing[1], StartsWith("push(0)")) << found;
  EXPECT_THAT(found.what, HasSubstr(", expected ["));
}

TEST(sequences, what_is_neither_done_nor_undone_is_found_in_one_step) {
  model_test<items> test = stack_test(&repair_next);
  test.operations.resize(1);
  test.operations[0].run = [](segment& seg, const operation_arguments& with) {
    push(seg, with);
    push(seg, with);  // one operation of the model
  };
  test.operations[0].model = [](items& all, const operation_arguments& with) {
    for (int i = 0; i < 2 && all.size() < 32; ++i) all.push_back(with[0]);
  };
  const sequence_report found = run_sequences(test);
  EXPECT_THAT(found.failing, ElementsAre(StartsWith("push(0), killed after store "))) << found;
  EXPECT_EQ(found.what, "found [0], expected [0 0] if it happened, or [] if it did not");
}

TEST(sequences, an_operation_that_lives_and_does_something_else_than_the_model_is_found) {
  model_test<items> test = stack_test(&repair_next);
  test.operations[1].model = [](items&, const operation_arguments&) {};
  sequence_options how;
  how.deaths = 0.01;
  const sequence_report found = run_sequences(test, how);
  EXPECT_THAT(found.failing, ElementsAre("push(0)", "pop()")) << found;
  EXPECT_EQ(found.what, "found [], expected [0]");
}

TEST(sequences, a_seed_gives_the_same_sequences_again) {
  sequence_options how;
  how.seed = 7;
  const sequence_report once = run_sequences(stack_test(&repair_nothing), how);
  const sequence_report again = run_sequences(stack_test(&repair_nothing), how);
  EXPECT_EQ(once.seed, 7U);
  EXPECT_EQ(once.failing, again.failing) << once << again;
  EXPECT_EQ(once.operations, again.operations);
  EXPECT_FALSE(once.ok());
}

TEST(sequences, a_failure_is_kept_and_run_first) {
  sequence_options how;
  how.corpus = in_a_new_folder();
  const sequence_report found = run_sequences(stack_test(&repair_nothing), how);
  EXPECT_THAT(found.file, StartsWith(how.corpus + "/sequence-"));
  how.sequences = 0;
  const sequence_report kept = run_sequences(stack_test(&repair_nothing), how);
  EXPECT_EQ(kept.failing, found.failing) << kept;
  EXPECT_EQ(kept.sequences, 1U);
  const sequence_report mended = run_sequences(stack_test(&repair_next), how);
  EXPECT_TRUE(mended.ok()) << mended;
  EXPECT_EQ(mended.sequences, 1U);
  model_test<items> other = stack_test(&repair_next);
  other.name = "another test of the same folder";
  EXPECT_EQ(run_sequences(other, how).sequences, 0U);
  std::ofstream(how.corpus + "/broken.json") << "{";
  try {
    static_cast<void>(run_sequences(other, how));
    ADD_FAILURE() << "a file that cannot be read was taken";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("broken.json: found no sequence"));
  }
  std::filesystem::remove_all(how.corpus);
}

TEST(sequences, an_operation_that_crashes_or_keeps_a_lock_is_named) {
  model_test<items> test = stack_test(&repair_next);
  test.operations[1].run = [](segment&, const operation_arguments&) {
    throw std::runtime_error("there is no pop");
  };
  EXPECT_THAT(run_sequences(test).what, HasSubstr("pop: there is no pop"));
  test.operations[1].run = [](segment& seg, const operation_arguments&) {
    seg.find<guarded_stack>("stack")->mutex().lock();
  };
  sequence_options alive;
  alive.deaths = 0.01;
  EXPECT_THAT(run_sequences(test, alive).what, HasSubstr("still holds a mutex"));
}

TEST(sequences, bounds_and_wrong_tests) {
  sequence_options how;
  how.budget = std::chrono::milliseconds(1);
  const sequence_report cut = run_sequences(stack_test(&repair_next), how);
  EXPECT_THAT(cut.cut, HasSubstr("of 100 (budget)"));
  how = {};
  how.deaths = 0;
  how.sequences = 3;
  EXPECT_THAT(run_sequences(stack_test(&repair_next), how).fault, HasSubstr("no operation died"));
  model_test<items> wrong = stack_test(&repair_next);
  wrong.operations[0].arguments = {{2, 1}};
  EXPECT_THROW(static_cast<void>(run_sequences(wrong)), std::invalid_argument);
  wrong.operations.clear();
  EXPECT_THROW(static_cast<void>(run_sequences(wrong)), std::invalid_argument);
}

}  // namespace
}  // namespace outlive::killtest::testing
