// Killed in a process's first use of a segment: it joins as a participant, claims a thread record, and locks.
#include <unistd.h>

#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

constexpr std::size_t prime = 211;  // some 30,000 instructions, most of them in the tables of loaded modules

// Another process claims a record, enters mutex 1, tears its value and dies, all while the victim stands still.
void come_enter_and_die(world& w) {
  w.leave_owner_dead_in({1});
}

}  // namespace

TEST(first_use_step, killed_at_every_state_of_the_first_lock_of_a_process) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  auto plan = w.plan("first lock of a process: participant, record, lock, unlock", prime);
  plan.setup = [&] { w.start_over(); };
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    section_begin();
    w.lock(0).mutex().lock();
    change(w.lock(0).unguarded());
    w.lock(0).mutex().unlock();
    section_end();
  };
  const auto result = w.run(plan);
  EXPECT_GT(w.counts().repairs, 0U);
  EXPECT_GT(result.states, 0U);
}

// Everywhere in the victim's claim another process may claim the same record, enter a mutex and die. A claim that looks only once writes over its record,
// and nobody can tell any more who died.
TEST(first_use_step, another_claims_enters_and_dies_at_every_state_of_a_claim) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto plan = w.plan("claim, while another claims, enters and dies", prime);
  plan.setup = [&] { w.start_over(); };
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    section_begin();
    w.lock(0).mutex().lock();
    change(w.lock(0).unguarded());
    w.lock(0).mutex().unlock();
    section_end();
  };
  plan.meanwhile = [&](const kill_point&) { come_enter_and_die(w); };
  plan.after = [&](const kill_point&) { w.settle(); };
  const auto result = w.run(plan);
  EXPECT_EQ(w.counts().repairs, result.preempted) << "each of the dead was repaired";
}
