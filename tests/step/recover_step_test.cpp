// Killed after every instruction of recover() and of the adoption of orphans, by lock() and by
// recover().
#include <unistd.h>

#include <chrono>

#include "step/world.hpp"
#include "support/child.hpp"
#include "support/orphans.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

void lose_robust_list() {
  die_leaving_orphans(orphan_kind::list_unset, {});
}

}  // namespace

TEST(recover_step, killed_at_every_instruction_of_recovering_a_dead_process_with_two_mutexes) {
  OUTLIVE_NEEDS_TRACING();
  world w(3);
  w.register_repair();
  auto plan = w.plan("recover() of two mutexes");
  plan.setup = w.again_from([&] { w.leave_owner_dead_in({1, 2}); });
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    const auto lines = recover(w.shared());
    section_end();
    if (lines.size() != 2) _exit(3);
  };
  plan.after = [&](const kill_point& point) {
    if (!point.died) {
      EXPECT_EQ(w.victim_was_told().repairs.load(), 2U);
      EXPECT_EQ(w.state(1).word(), detail::free_consistent);
      EXPECT_EQ(w.state(2).word(), detail::free_consistent);
    }
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(w.counts().repairs, 0U);
}

// The owner's robust list is lost: the kernel marks neither the mutex nor the record. A timed lock
// looks for an orphan at its deadline.
TEST(recover_step, killed_at_every_instruction_of_a_lock_that_adopts_an_orphan) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto plan = w.plan("lock that adopts an orphan, repair, enter, unlock");
  plan.setup = w.again_from([&] { w.leave_owner_dead_in({1}, lose_robust_list); });
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    const bool got = w.lock(1).mutex().try_lock_until(std::chrono::steady_clock::now() - 1s);
    if (!got) _exit(3);
    change(w.lock(1).unguarded());
    w.lock(1).mutex().unlock();
    section_end();
  };
  std::size_t orphans = 0;
  plan.after = [&](const kill_point& point) {
    orphans += w.native_word(1) == static_cast<std::uint32_t>(w.owner_of(1).tid);
    if (!point.died) {
      EXPECT_EQ(w.victim_was_told().repairs.load(), 1U);
    }
    for (std::size_t i = 0; i < 2; ++i) w.inherit(i);
    recover(w.shared());  // the dead owner's record is an orphan, too
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(orphans, 0U) << "no orphan was left";
}

TEST(recover_step, killed_at_every_instruction_of_recovering_an_orphan_and_its_record) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto plan = w.plan("recover() of an orphan and its owner's record");
  plan.setup = w.again_from([&] { w.leave_owner_dead_in({1}, lose_robust_list); });
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    const auto lines = recover(w.shared());
    section_end();
    if (lines.size() != 1 || !lines[0].adopted) _exit(3);
  };
  plan.after = [&](const kill_point& point) {
    if (!point.died) {
      EXPECT_EQ(w.shared().threads_in_use(), 1U) << "the record's mutex was not adopted";
    }
    const expectation due = w.expect_now(1);
    w.heir_was_told().forget();
    const auto lines = recover(w.shared());
    if (due.repair) {
      EXPECT_EQ(lines.size(), 1U);
      EXPECT_EQ(w.heir_was_told().owner.load(), due.owner);
      EXPECT_EQ(w.heir_was_told().former_heir.load(), due.former_heir);
      EXPECT_EQ(w.heir_was_told().attempt.load(), due.attempt);
    }
    EXPECT_EQ(w.heir_was_told().repairs.load(), due.repair ? 1U : 0U);
    w.counts().repairs += w.heir_was_told().repairs.load();
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(w.counts().repairs, 0U);
}
