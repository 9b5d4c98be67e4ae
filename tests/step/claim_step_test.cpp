// Killed in the claim of a thread record, at every instruction where that is affordable: with free
// ones about, while another comes and dies in between, and when all belong to the dead.
#include <unistd.h>

#include "records/participants.hpp"
#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

// Three records: the parent's and those of two owners who died in mutexes 0 and 1. Nobody else can
// have one but a spare.
segment_options crowded() {
  auto options = world::small();
  options.threads = 3;
  return options;
}

// The process is a participant, its thread has no record yet.
void claim_and_use(world& w, std::size_t index) {
  w.i_am_the_victim();
  detail::participants::own_index(w.mapped());
  section_begin();
  w.lock(index).mutex().lock();
  change(w.lock(index).unguarded());
  w.lock(index).mutex().unlock();
  section_end();
}

}  // namespace

TEST(claim_step, killed_at_every_instruction_of_a_claim_lock_and_unlock) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  auto plan = w.plan("claim of a record, lock, unlock");
  plan.setup = [&] { w.start_over(); };
  plan.victim = [&](agent&) { claim_and_use(w, 0); };
  w.run(plan);
  EXPECT_GT(w.counts().repairs, 0U);
}

// Everywhere in the victim's claim another process may claim the same record, enter a mutex and
// die. A claim that looks only once writes over its record, and nobody can tell any more who died.
TEST(claim_step, another_claims_enters_and_dies_at_every_instruction_of_a_claim) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto plan = w.plan("claim, while another claims, enters and dies");
  plan.setup = [&] { w.start_over(); };
  plan.victim = [&](agent&) { claim_and_use(w, 0); };
  plan.meanwhile = [&](const kill_point&) { w.leave_owner_dead_in({1}); };
  const auto result = w.run(plan);
  EXPECT_EQ(w.counts().repairs, result.preempted) << "each of the dead was repaired";
}

TEST(claim_step,
     killed_at_every_state_of_a_claim_that_recovers_since_all_records_belong_to_the_dead) {
  OUTLIVE_NEEDS_TRACING();
  world w(3, crowded());
  w.register_repair();
  auto plan = w.plan("claim that recovers: all records belong to the dead", 5);
  plan.setup = w.again_from([&] {
    w.leave_owner_dead_in({0});
    w.leave_owner_dead_in({1});
  });
  plan.victim = [&](agent&) { claim_and_use(w, 2); };
  plan.after = [&](const kill_point& point) {
    if (!point.died) {
      EXPECT_EQ(w.victim_was_told().repairs.load(), 2U);
    }
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(w.counts().repairs, 0U);
}

// One of the two spare records is left to be read, since its bearer died in a repair.
TEST(claim_step, killed_at_every_state_of_a_claim_that_recovers_after_a_recoverer_died) {
  OUTLIVE_NEEDS_TRACING();
  world w(3, crowded());
  w.register_repair();
  auto plan = w.plan("claim that recovers, with the second spare record", 31);
  plan.setup = w.again_from([&] {
    w.leave_owner_dead_in({0});
    w.leave_owner_dead_in({1});
    w.leave_heir_dead_in(0);
  });
  plan.victim = [&](agent&) { claim_and_use(w, 2); };
  plan.after = [&](const kill_point& point) {
    if (!point.died) {
      EXPECT_EQ(w.victim_was_told().repairs.load(), 2U);
    }
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(w.counts().repairs, 0U);
}

TEST(claim_step, killed_at_every_state_of_a_claim_that_takes_a_record_from_an_unrepaired_mutex) {
  OUTLIVE_NEEDS_TRACING();
  world w(4, crowded());
  auto plan = w.plan("claim that takes the origins of unrepaired mutexes", 13);
  plan.setup = w.again_from([&] {
    w.leave_owner_dead_in({0});
    w.leave_owner_dead_in({1});
  });
  plan.victim = [&](agent&) { claim_and_use(w, 2); };
  std::size_t unknown = 0;
  plan.after = [&](const kill_point& point) {
    for (const std::size_t i : {0U, 1U}) {
      const bool forgotten =
          w.state(i).condition() == detail::lock_condition::unrepaired && !w.state(i).origin();
      EXPECT_TRUE(forgotten || point.died) << "no record was taken from mutex " << i;
      unknown += forgotten;
    }
    w.register_repair();
    // without a record for it: the same way, from wherever the victim left it
    w.settle_after_newcomer(3);
    w.drop_repair();
  };
  w.run(plan);
  EXPECT_GT(unknown, 0U);
}
