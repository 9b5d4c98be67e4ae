// soak(): workers that are killed at random, and whether it finds what is wrong.
#include <outlive/killtest/soak.hpp>

#include <gmock/gmock.h>
#include <unistd.h>

#include <stdexcept>

#include "killtest/nested_accounts.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::HasSubstr;

// As many kills as tell something; the time is a limit for slow machines.
soak_options kills(std::uint64_t count) {
  soak_options made;
  made.max_kills = count;
  made.time = std::chrono::seconds(60);
  made.longest_pause = std::chrono::microseconds(500);
  made.time_limit = std::chrono::seconds(20);
  return made;
}

TEST(soak, a_correct_repair_holds) {
  const soak_report found = soak(bank_scenario(&undo_in_order), kills(100));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.kills, 100U);
  EXPECT_GT(found.aimed, 0U);
  EXPECT_GT(found.while_holding, 0U) << found;
  EXPECT_GE(found.repairs, found.while_holding)
      << "each one who died inside had heirs, and the last one of them repaired";
  EXPECT_GT(found.rounds, 0U);
  EXPECT_NE(found.seed, 0U);
}

TEST(soak, correct_repairs_of_nested_locks_hold) {
  const soak_report found = soak(nested_scenario(true), kills(100));
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.while_holding, 0U) << found;
}

// Long enough that kills come in between: a soak finds no narrow bugs.
void slow_debit_then_credit(bank& of, long amount) {
  of.a -= amount;
  for (int i = 0; i < 20'000; ++i) crash_barrier();
  of.b += amount;
}

TEST(soak, a_repair_that_does_nothing_is_found) {
  const scenario broken =
      bank_scenario([](bank&, const owner_death&) { return repaired; }, &slow_debit_then_credit);
  const soak_report found = soak(broken, kills(100));
  EXPECT_FALSE(found.ok());
  EXPECT_EQ(found.result, verdict::invariant_violated) << found;
  EXPECT_THAT(found.what, HasSubstr("not 1000"));
  EXPECT_THAT(found.summary(), HasSubstr("seed " + std::to_string(found.seed)));
}

TEST(soak, a_repair_that_ends_its_process_is_found) {
  const soak_report found = soak(
      bank_scenario([](bank&, const owner_death&) -> repair_result { ::_exit(3); }), kills(1000));
  EXPECT_EQ(found.result, verdict::repair_crashed) << found;
  EXPECT_THAT(found.what, HasSubstr("exited with 3"));
}

TEST(soak, a_repair_that_fails_is_found) {
  const soak_report found =
      soak(bank_scenario([](bank&, const owner_death&) { return failed; }), kills(1000));
  EXPECT_EQ(found.result, verdict::repair_failed) << found;
}

TEST(soak, a_repair_that_never_ends_is_found) {
  soak_options how = kills(40);
  how.time_limit = std::chrono::milliseconds(500);
  const scenario hangs = bank_scenario([](bank&, const owner_death&) {
    for (;;) ::pause();
    return repaired;
  });
  const soak_report found = soak(hangs, how);
  EXPECT_EQ(found.result, verdict::repair_hung) << found;
}

TEST(soak, kills_that_meet_no_lock_prove_nothing) {
  scenario idle = bank_scenario(&undo_in_order);
  idle.victim = [](segment&) { ::usleep(1); };
  const soak_report found = soak(idle, kills(5));
  EXPECT_FALSE(found.ok());
  EXPECT_THAT(found.summary(), HasSubstr("no worker was killed while holding a lock"));
}

TEST(soak, a_seed_that_is_given_is_used_and_wrong_options_are_refused) {
  soak_options how = kills(3);
  how.seed = 42;
  EXPECT_EQ(soak(bank_scenario(&undo_in_order), how).seed, 42U);
  how.aim = 1.5;
  EXPECT_THROW(static_cast<void>(soak(bank_scenario(&undo_in_order), how)), std::invalid_argument);
  how = {};
  how.workers = 0;
  EXPECT_THROW(static_cast<void>(soak(bank_scenario(&undo_in_order), how)), std::invalid_argument);
  how = {};
  how.longest_pause = std::chrono::microseconds(-1);
  EXPECT_THROW(static_cast<void>(soak(bank_scenario(&undo_in_order), how)), std::invalid_argument);
}

}  // namespace
}  // namespace outlive::killtest::testing
