// Killed after every instruction of lock, try_lock, timed lock and unlock, with nobody else about,
// with a holder and with a waiter.
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>

#include "step/world.hpp"
#include "support/child.hpp"
#include "sys/native_mutex.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

// inherit() compares each point. Here: that the sweep saw deaths that were owner deaths, and
// others.
void expect_both_kinds(world& w) {
  EXPECT_GT(w.counts().repairs, 0U);
  EXPECT_LT(w.counts().repairs, w.counts().points * w.locks());
}

}  // namespace

TEST(lock_step, killed_at_every_instruction_of_lock_change_and_unlock) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  auto plan = w.plan("lock, change, unlock");
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    w.lock(0).mutex().lock();
    change(w.lock(0).unguarded());
    w.lock(0).mutex().unlock();
    section_end();
  };
  w.run(plan);
  expect_both_kinds(w);
}

TEST(lock_step, killed_at_every_instruction_of_try_lock_and_unlock) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  auto plan = w.plan("try_lock, change, unlock");
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    if (!w.lock(0).mutex().try_lock()) _exit(3);
    change(w.lock(0).unguarded());
    w.lock(0).mutex().unlock();
    section_end();
  };
  w.run(plan);
  expect_both_kinds(w);
}

TEST(lock_step, killed_at_every_instruction_of_unlocking_three_out_of_order) {
  OUTLIVE_NEEDS_TRACING();
  world w(3);
  w.register_repair();
  auto plan = w.plan("unlock of three, out of order");
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    for (std::size_t i = 0; i < 3; ++i) w.lock(i).mutex().lock();
    section_begin();
    w.lock(1).mutex().unlock();
    w.lock(0).mutex().unlock();
    w.lock(2).mutex().unlock();
    section_end();
  };
  w.run(plan);
  expect_both_kinds(w);
}

TEST(lock_step, killed_at_every_instruction_of_a_timed_lock_of_a_free_mutex) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  auto plan = w.plan("timed lock of a free mutex, unlock");
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    if (!w.lock(0).mutex().try_lock_for(1s)) _exit(3);
    change(w.lock(0).unguarded());
    w.lock(0).mutex().unlock();
    section_end();
  };
  w.run(plan);
  expect_both_kinds(w);
}

TEST(lock_step, killed_at_every_instruction_of_a_timed_lock_whose_holder_stays) {
  OUTLIVE_NEEDS_TRACING();
  world w(2);
  w.register_repair();
  auto mine = w.lock(1).lock();
  auto plan = w.plan("timed lock, the holder stays");
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    // the same way, without the sleep
    const bool got = w.lock(1).mutex().try_lock_until(std::chrono::steady_clock::now() - 1s);
    section_end();
    if (got) _exit(3);
  };
  plan.after = [&](const kill_point&) {
    // The dead waiter left nothing: the holder goes on, and gives back as if nobody had been there.
    EXPECT_EQ(w.native_word(1) & detail::native_mutex::tid_mask,
              static_cast<std::uint32_t>(gettid()));
    mine.unlock();
    w.settle();
    mine = w.lock(1).lock();
  };
  w.run(plan);
  EXPECT_EQ(w.counts().repairs, 0U) << "a waiter's death is no owner death";
}

namespace {

// The parent holds the mutex that the victim wants, and gives it back when the victim has slept for
// `sleep`.
void wait_for_the_holder(const char* name, std::chrono::milliseconds sleep, std::size_t stride) {
  world w(2);
  w.register_repair();
  auto mine = w.lock(1).lock();
  std::optional<deadline> enough;
  auto plan = w.plan(name, stride);
  plan.setup = [&] {
    w.forget_the_dead();
    enough.reset();
    if (!mine) mine = w.lock(1).lock();
  };
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    w.lock(1).mutex().lock();
    change(w.lock(1).unguarded());
    w.lock(1).mutex().unlock();
    section_end();
  };
  plan.unblock = [&] {
    if (!enough) enough.emplace(sleep);
    if (mine && enough->passed()) mine.unlock();
  };
  plan.after = [&](const kill_point&) {
    if (mine) mine.unlock();
    w.settle();
  };
  const auto result = w.run(plan);
  expect_both_kinds(w);
  EXPECT_GT(result.asleep, 0U) << result.describe();
}

}  // namespace

TEST(lock_step, killed_at_every_instruction_of_a_lock_whose_holder_gives_back) {
  OUTLIVE_NEEDS_TRACING();
  wait_for_the_holder("lock, the holder gives back", 0ms, 1);
}

// The lock waits in slices of 250 ms, and between them clears glibc's pending entry and looks for
// an orphan.
TEST(lock_step, killed_at_every_state_of_a_lock_that_waits_longer_than_a_slice) {
  OUTLIVE_NEEDS_TRACING();
  wait_for_the_holder("lock, the holder gives back in the second slice", 300ms, 499);
}

// The waiter is the heir. It repairs exactly once for each death before the store that clears the
// holder, and never after it.
TEST(lock_step, killed_at_every_instruction_of_an_unlock_that_wakes_a_waiter) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  shared_value<std::uint32_t> held;
  shared_value<std::uint32_t> got;
  std::unique_ptr<child> waiter;
  bool cleared = false;
  std::size_t repaired_by_waiter = 0;
  auto plan = w.plan("unlock that wakes a waiter");
  plan.setup = [&] {
    w.forget_the_dead();
    held.store(0);
    got.store(0);
    waiter = std::make_unique<child>("waiter", [&](agent&) {
      if (!held.wait_equal(1)) _exit(5);
      auto hold = w.lock(0).lock();
      if (hold->a != hold->b) _exit(4);
      got.store(1);
    });
  };
  plan.victim = [&](agent&) {
    w.i_am_the_victim();
    w.lock(0).mutex().lock();
    held.store(1);
    // until the waiter is on its way into the kernel; the plan bounds it
    while ((w.native_word(0) & detail::native_mutex::waiters) == 0) usleep(50);
    section_begin();
    w.lock(0).mutex().unlock();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    waiter->expect_exit(0);
    EXPECT_EQ(got.load(), 1U) << "the waiter never got the mutex";
    const std::uint32_t repairs = w.heir_was_told().repairs.load();
    repaired_by_waiter += repairs;
    EXPECT_LE(repairs, cleared || !point.died ? 0U : 1U)
        << "a repair although the holder was cleared";
    if (point.died && repairs == 0) cleared = true;
    if (repairs != 0) {
      EXPECT_EQ(w.heir_was_told().owner.load(), w.victim());
    }
    w.settle();
    EXPECT_EQ(w.counts().repairs, 0U) << "the waiter left something to repair";
  };
  w.run(plan);
  EXPECT_TRUE(cleared);
  EXPECT_GT(repaired_by_waiter, 0U);
}
