// try_death_kinds(): every way in which a thread can end, with each of its locks.
#include <outlive/killtest/death_kinds.hpp>

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>

#include "killtest/nested_accounts.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

bool was_skipped(const death_report& found, death_kind kind) {
  return std::any_of(found.skipped.begin(), found.skipped.end(),
                     [&](const skipped_kind& each) { return each.kind == kind; });
}

TEST(death_kinds, a_correct_repair_holds_after_every_kind_of_death) {
  const death_report found = try_death_kinds(bank_scenario(&undo_in_order));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.locks, 1U);
  for (const death_kind kind : all_death_kinds()) {
    const auto tried = std::find_if(found.deaths.begin(), found.deaths.end(),
                                    [&](const tried_death& each) { return each.kind == kind; });
    if (kind == death_kind::memory_limit && was_skipped(found, kind)) continue;
    ASSERT_NE(tried, found.deaths.end()) << to_string(kind);
    EXPECT_EQ(tried->mutex, "\"accounts\"");
    EXPECT_EQ(tried->recovered, 1U) << to_string(kind);
    EXPECT_EQ(tried->repaired, 1U) << to_string(kind);
    EXPECT_EQ(tried->marked, kind != death_kind::exec_from_thread) << to_string(kind);
  }
}

TEST(death_kinds, what_is_skipped_is_said) {
  const death_report found =
      try_death_kinds(bank_scenario(&undo_in_order), {{death_kind::memory_limit}});
  if (found.deaths.empty()) {
    EXPECT_FALSE(found.ok()) << "nobody died";
    EXPECT_THAT(found.skipped, SizeIs(1));
    EXPECT_THAT(found.summary(), HasSubstr("skipped: memory cgroup: "));
  } else {
    EXPECT_THAT(found.skipped, IsEmpty());
    EXPECT_TRUE(found.ok()) << found;
  }
}

const death_options quick{{death_kind::sigkill, death_kind::segv, death_kind::abort,
                           death_kind::exit_now, death_kind::exception, death_kind::thread_exit,
                           death_kind::exec, death_kind::exec_from_thread}};

TEST(death_kinds, each_lock_is_died_with_once) {
  const death_report found = try_death_kinds(nested_scenario(true), quick);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.locks, 2U);
  ASSERT_THAT(found.deaths, SizeIs(2 * quick.kinds.size()));
  for (const tried_death& each : found.deaths) {
    EXPECT_EQ(each.mutex, each.lock == 1 ? "\"from\"" : "\"to\"");
    EXPECT_EQ(each.recovered, each.lock)
        << "with the second lock it has both in hand; " << to_string(each.kind);
  }
}

// The first change inside of the lock is a torn one.
void debit_then_credit(bank& of, long amount) {
  of.a -= amount;
  crash_barrier();
  of.b += amount;
}

TEST(death_kinds, a_repair_that_does_nothing_fails_after_every_kind_of_death) {
  const scenario broken =
      bank_scenario([](bank&, const owner_death&) { return repaired; }, &debit_then_credit);
  const death_report found = try_death_kinds(broken, quick);
  EXPECT_FALSE(found.ok());
  EXPECT_EQ(found.failed(), quick.kinds.size()) << found;
  for (const tried_death& each : found.deaths) {
    EXPECT_EQ(each.result, verdict::invariant_violated) << found;
    EXPECT_THAT(each.what, HasSubstr("not 1000"));
  }
  EXPECT_THAT(found.summary(), HasSubstr("exec by another thread"));
}

TEST(death_kinds, a_repair_that_crashes_is_told) {
  const scenario broken =
      bank_scenario([](bank&, const owner_death&) -> repair_result { ::_exit(3); });
  const death_report found = try_death_kinds(broken, {{death_kind::sigkill}});
  ASSERT_THAT(found.deaths, SizeIs(1));
  EXPECT_EQ(found.deaths[0].result, verdict::repair_crashed) << found;
}

TEST(death_kinds, a_victim_that_takes_no_lock_is_a_fault) {
  scenario idle = bank_scenario(&undo_in_order);
  idle.victim = [](segment& seg) { seg.find<guarded<bank>>("accounts")->unguarded().a = 499; };
  const death_report found = try_death_kinds(idle, quick);
  EXPECT_FALSE(found.ok());
  EXPECT_THAT(found.summary(), HasSubstr("acquires no lock"));
}

}  // namespace
}  // namespace outlive::killtest::testing
