// Killed after every instruction of lock and unlock.
#include <unistd.h>

#include <chrono>

#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

#define NEEDS_TRACING() \
  if (auto why = tracing_unavailable()) GTEST_SKIP() << *why

// Settles all mutexes as the heir and checks that no record is lost; the parent alone is left.
void settle(world& w, const kill_point& point) {
  for (std::size_t i = 0; i < w.locks(); ++i) w.inherit(i, point);
  w.expect_records_free(1, point);
}

sweep_result run(world& w, const char* name, std::function<void(agent&)> victim) {
  w.register_repair();
  { auto warm = w.lock(0).lock(); }
  sweep_plan plan;
  plan.name = name;
  plan.setup = [] {};
  plan.victim = std::move(victim);
  plan.after = [&](const kill_point& point) { settle(w, point); };
  const sweep_result result = sweep(plan);
  w.report(name, result);
  return result;
}

// A repair may be due at no point where the holder did not name the victim, and must be at all others: inherit() compares. Here: that the
// sweep saw both kinds.
void expect_both_kinds(world& w, const sweep_result& result) {
  EXPECT_GT(result.deaths, 20U);
  EXPECT_GT(w.counts().repairs, 0U);
  EXPECT_LT(w.counts().repairs, result.deaths * w.locks());
}

}  // namespace

TEST(lock_step, killed_at_every_instruction_of_lock_change_and_unlock) {
  NEEDS_TRACING();
  world w(1);
  const auto result = run(w, "lock, change, unlock", [&](agent&) {
    w.i_am_the_victim();
    { auto warm = w.lock(0).lock(); }
    section_begin();
    {
      auto hold = w.lock(0).lock();
      change(*hold);
    }
    section_end();
  });
  expect_both_kinds(w, result);
}

TEST(lock_step, killed_at_every_instruction_of_try_lock_and_unlock) {
  NEEDS_TRACING();
  world w(1);
  const auto result = run(w, "try_lock, unlock", [&](agent&) {
    w.i_am_the_victim();
    { auto warm = w.lock(0).lock(); }
    section_begin();
    if (w.lock(0).mutex().try_lock()) {
      change(w.lock(0).unguarded());
      w.lock(0).mutex().unlock();
    }
    section_end();
  });
  expect_both_kinds(w, result);
}

TEST(lock_step, killed_at_every_instruction_of_unlocking_three_out_of_order) {
  NEEDS_TRACING();
  world w(3);
  const auto result = run(w, "unlock of 3, out of order", [&](agent&) {
    w.i_am_the_victim();
    for (std::size_t i = 0; i < 3; ++i) w.lock(i).mutex().lock();
    section_begin();
    w.lock(1).mutex().unlock();
    w.lock(0).mutex().unlock();
    w.lock(2).mutex().unlock();
    section_end();
  });
  expect_both_kinds(w, result);
}

TEST(lock_step, killed_at_every_instruction_of_a_timed_lock_whose_holder_stays) {
  NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto mine = w.lock(1).lock();
  sweep_plan plan;
  plan.name = "timed lock, holder stays";
  plan.setup = [] {};
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    { auto warm = w.lock(0).lock(); }
    section_begin();
    const bool got = w.lock(1).mutex().try_lock_for(1ms);
    section_end();
    if (got) _exit(3);
  };
  plan.after = [&](const kill_point& point) {
    SCOPED_TRACE(point.describe());
    // The dead waiter left nothing: the holder goes on, and gives back as if nobody had been there.
    w.inherit(0, point);
    EXPECT_TRUE(mine);
    mine.unlock();
    w.inherit(1, point);
    w.expect_records_free(1, point);
    mine = w.lock(1).lock();
    EXPECT_FALSE(mine.recovered());
  };
  const auto result = sweep(plan);
  w.report(plan.name.c_str(), result);
  EXPECT_GT(result.deaths, 100U);
  EXPECT_EQ(w.counts().repairs, 0U) << "a waiter's death is no owner death";
}

TEST(lock_step, killed_at_every_instruction_of_a_lock_whose_holder_gives_back_meanwhile) {
  NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto mine = w.lock(1).lock();
  sweep_plan plan;
  plan.name = "lock, holder gives back";
  plan.setup = [&] {
    if (!mine) mine = w.lock(1).lock();
  };
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    { auto warm = w.lock(0).lock(); }
    section_begin();
    w.lock(1).mutex().lock();
    change(w.lock(1).unguarded());
    w.lock(1).mutex().unlock();
    section_end();
  };
  plan.unblock = [&] {
    if (mine) mine.unlock();
  };
  plan.after = [&](const kill_point& point) {
    if (mine) mine.unlock();
    settle(w, point);
  };
  const auto result = sweep(plan);
  w.report(plan.name.c_str(), result);
  EXPECT_GT(result.deaths, 100U);
  EXPECT_GT(w.counts().repairs, 0U);
}

TEST(lock_step, killed_at_every_instruction_of_an_unlock_that_wakes_a_waiter) {
  NEEDS_TRACING();
  world w(1);
  w.register_repair();
  { auto warm = w.lock(0).lock(); }
  shared_value<std::uint32_t> held;
  shared_value<std::uint32_t> got;
  std::unique_ptr<child> waiter;
  sweep_plan plan;
  plan.name = "unlock with a waiter";
  plan.setup = [&] {
    held.store(0);
    got.store(0);
    waiter = std::make_unique<child>("waiter", [&](agent&) {
      held.wait_equal(1);
      auto hold = w.lock(0).lock();
      if (hold->a != hold->b) _exit(4);
      got.store(1);
    });
  };
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    w.lock(0).mutex().lock();
    held.store(1);
    while ((w.native_word(0) & 0x80000000U) == 0) usleep(50);  // until the waiter sleeps in the kernel; the plan bounds it
    section_begin();
    w.lock(0).mutex().unlock();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    SCOPED_TRACE(point.describe());
    waiter->expect_exit(0);
    EXPECT_EQ(got.load(), 1U) << "the waiter never got the mutex";
    settle(w, point);
  };
  const auto result = sweep(plan);
  w.report(plan.name.c_str(), result);
  EXPECT_GT(result.deaths, 30U);
}

TEST(lock_step, killed_at_every_instruction_of_a_threads_first_lock_that_stores_into_the_segment) {
  NEEDS_TRACING();
  world w(1);
  w.register_repair();
  { auto warm = w.lock(0).lock(); }
  sweep_plan plan;
  plan.name = "first lock of a process: participant, record, lock";
  plan.setup = [] {};
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    section_begin();
    w.lock(0).mutex().lock();
    change(w.lock(0).unguarded());
    w.lock(0).mutex().unlock();
    section_end();
  };
  plan.after = [&](const kill_point& point) { settle(w, point); };
  // Some 30,000 instructions, most of them in the tables of loaded modules: a prime stride visits others at each call of the code.
  plan.stride = 7;
  const auto result = sweep(plan);
  w.report(plan.name.c_str(), result);
  EXPECT_GT(result.deaths, 500U);
}
