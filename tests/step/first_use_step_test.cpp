// Killed in a process's first use of a segment: it joins as a participant, claims a thread record,
// and locks.
#include <unistd.h>

#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

// some 30,000 instructions, most of them in the tables of loaded modules
constexpr std::size_t prime = 211;

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
  w.run(plan);
  EXPECT_GT(w.counts().repairs, 0U);
}
