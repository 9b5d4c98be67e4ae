// The victim is the heir: killed after every instruction of what lock() does with a dead owner's
// mutex, and then once more by the next heir.
#include <unistd.h>

#include <system_error>

#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

// A dead owner in mutex 1 before each run. Mutex 0 is for the warm-up.
sweep_plan after_a_death(world& w, const std::string& name) {
  auto plan = w.plan(name);
  plan.setup = w.again_from([&] { w.leave_owner_dead_in({1}); });
  return plan;
}

void lock_change_unlock(world& w) {
  section_begin();
  w.lock(1).mutex().lock();
  change(w.lock(1).unguarded());
  w.lock(1).mutex().unlock();
  section_end();
}

// What the victim's own repair was told, if it came to that.
void expect_victim_told(world& w, pid_t former_heir, unsigned attempt) {
  const told& heard = w.victim_was_told();
  EXPECT_LE(heard.repairs.load(), 1U);
  if (heard.repairs.load() == 0) return;
  EXPECT_EQ(heard.owner.load(), w.owner_of(1).tid);
  EXPECT_EQ(heard.former_heir.load(), former_heir);
  EXPECT_EQ(heard.attempt.load(), attempt);
}

// The attempts that a state may count at all, by its condition.
void expect_attempts(world& w, unsigned while_repairing, unsigned while_unrepaired) {
  const detail::lock_state found = w.state(1);
  if (found.condition() == detail::lock_condition::repairing) {
    EXPECT_EQ(found.attempts(), while_repairing);
  }
  if (found.condition() == detail::lock_condition::unrepaired) {
    EXPECT_EQ(found.attempts(), while_unrepaired);
  }
}

}  // namespace

TEST(heir_step, killed_at_every_instruction_of_lock_repair_enter_and_unlock) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto plan = after_a_death(w, "heir: lock, repair, enter, unlock");
  plan.victim = [&](agent&) {
    w.warm_up();
    lock_change_unlock(w);
  };
  std::size_t former_heirs = 0;
  plan.after = [&](const kill_point& point) {
    expect_attempts(w, 1, 0);
    expect_victim_told(w, 0, 1);
    w.settle();
    former_heirs += w.heir_was_told().former_heir.load() == w.victim();
    if (!point.died) {
      EXPECT_EQ(w.victim_was_told().repairs.load(), 1U);
    }
  };
  w.run(plan);
  EXPECT_GT(former_heirs, 0U);
}

TEST(heir_step, killed_at_every_instruction_of_an_heir_whose_repair_fails) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair(failed);
  auto plan = after_a_death(w, "heir whose repair fails");
  plan.victim = [&](agent&) {
    w.warm_up();
    std::error_code error;
    section_begin();
    w.lock(1).mutex().lock(error);
    section_end();
    if (error != errc::repair_failed) _exit(3);
  };
  plan.after = [&](const kill_point& point) {
    expect_attempts(w, 1, 1);
    expect_victim_told(w, 0, 1);
    if (!point.died) {
      EXPECT_EQ(w.state(1).condition(), detail::lock_condition::unrepaired);
    }
    w.settle_after_newcomer(0);
  };
  w.run(plan);
}

TEST(heir_step, killed_at_every_instruction_of_an_heir_without_a_repair) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto plan = after_a_death(w, "heir without a repair");
  plan.victim = [&](agent&) {
    w.drop_repair();
    w.warm_up();
    std::error_code error;
    section_begin();
    w.lock(1).mutex().lock(error);
    section_end();
    if (error != errc::owner_died_unrepaired) _exit(3);
  };
  plan.after = [&](const kill_point& point) {
    expect_attempts(w, 99, 0);  // never repairing
    if (!point.died) {
      EXPECT_EQ(w.state(1).condition(), detail::lock_condition::unrepaired);
    }
    w.settle_after_newcomer(0);
    EXPECT_EQ(w.heir_was_told().owner.load(), w.owner_of(1).tid);
    EXPECT_EQ(w.heir_was_told().attempt.load(), 1U) << "who has no repair uses no attempt";
  };
  w.run(plan);
}

TEST(heir_step, killed_at_every_instruction_of_the_second_heir_after_one_died_repairing) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto plan = w.plan("second heir, after one died repairing");
  plan.setup = w.again_from([&] {
    w.leave_owner_dead_in({1});
    w.leave_heir_dead_in(1);
  });
  plan.victim = [&](agent&) {
    w.warm_up();
    lock_change_unlock(w);
  };
  plan.after = [&](const kill_point& point) {
    const bool still_the_first = w.state(1).holder() == w.heir_of(1).id;
    expect_attempts(w, still_the_first ? 1 : 2, 0);
    expect_victim_told(w, w.heir_of(1).tid, 2);
    w.settle();
    if (!point.died) {
      EXPECT_EQ(w.victim_was_told().repairs.load(), 1U);
    }
  };
  w.run(plan);
}

// The last attempt was used up: whoever comes is told so, and the mutex is never stuck. A test's
// own hand makes it usable again.
TEST(heir_step, killed_at_every_instruction_of_an_heir_who_finds_the_attempts_used_up) {
  OUTLIVE_NEEDS_TRACING();
  auto options = world::small();
  options.attempts = 1;
  world w(2, options);
  w.register_repair();
  auto plan = w.plan("heir who finds the attempts used up");
  plan.setup = w.again_from([&] {
    w.leave_owner_dead_in({1});
    w.leave_heir_dead_in(1);
  });
  plan.victim = [&](agent&) {
    w.warm_up();
    std::error_code error;
    section_begin();
    w.lock(1).mutex().lock(error);
    section_end();
    if (error != errc::not_recoverable) _exit(3);
  };
  plan.after = [&](const kill_point&) {
    w.check_lawful(1);
    std::error_code error;
    EXPECT_FALSE(w.lock(1).try_lock(error));
    EXPECT_EQ(error, errc::not_recoverable);
    EXPECT_EQ(w.heir_was_told().repairs.load() + w.victim_was_told().repairs.load(), 0U)
        << "an attempt too many";
    EXPECT_EQ(w.state(1).condition(), detail::lock_condition::not_recoverable);
    w.check_records(1);
    w.bytes(1).state.store(detail::free_consistent);
    w.lock(1).unguarded() = {};
    w.settle();
  };
  w.run(plan);
}
