// A kill after every single instruction of a section of code.
//
//   if (auto why = tracing_unavailable()) GTEST_SKIP() << *why;
//   sweep({
//     .name = "unlock",
//     .setup = [&] { fresh state, in the parent },
//     .victim = [&](agent&) { m.lock(); section_begin(); m.unlock(); section_end(); },
//     .after = [&](const kill_point& point) { what must hold now: fork an heir, waits bounded },
//   });
//
// For i = 0, 1, 2 ... a fresh child runs natively to section_begin(), executes i instructions, and
// is SIGKILLed and reaped: when `after` runs, the kernel has finished with the dead owner. A child
// that gets past section_end() survives and runs to its end. First the section is run twice to its
// end (`after` sees survivors), and its path is recorded. Later runs go to a waypoint of that path
// at native speed, by a breakpoint, and step only the rest, so that a sweep does not cost the
// square of its length. A run that leaves the path is killed there, which is a kill point, too, and
// is repeated by plain stepping. If runs keep leaving the path, it is recorded again. An
// instruction in which the recorded run slept (a blocking system call) is a kill point twice:
// before it and asleep inside it.
//
// A long section has few states that differ once the victim is dead. With `watched`, the recorded
// run reads these bytes (the segment) and the victim's robust list after each step. Kill points are
// then the first instruction of each new state, the one after each system call, and every stride-th
// of all.
//
// Instead of a kill, `meanwhile` lets others work while the victim is at the point; then the victim
// continues and must end well.
//
// A sweep fails the test unless at least one victim died and the last one survived. The victim is
// traced on its calling thread only; other processes (a holder, a waiter) may live beside it and
// are set up in `setup`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "support/child.hpp"
#include "support/tracee.hpp"

namespace outlive::testing {

#if defined(__x86_64__)
inline __attribute__((always_inline)) void section_begin() {
  asm volatile("int3" ::: "memory");
}
inline __attribute__((always_inline)) void section_end() {
  asm volatile("int3" ::: "memory");
}
#else
inline void section_begin() {}
inline void section_end() {}
#endif

struct kill_point {
  std::size_t index = 0;  // instructions executed since section_begin()
  bool died = false;      // false: the victim went through and exited with 0
  bool asleep = false;    // killed while it slept in the instruction at `pc`
  std::uintptr_t pc = 0;  // the instruction that would have come next
  /// "kill point 17: liboutlive.so.0+0x4a10 (...)"
  std::string describe() const;
};

struct sweep_plan {
  std::string name;
  std::function<void()> setup;
  std::function<void(agent&)> victim;
  std::function<void(const kill_point&)> after;
  /// Called every few milliseconds while a victim sleeps before its kill point; it makes the event
  /// happen for which the victim waits.
  std::function<void()> unblock = nullptr;
  std::size_t first = 0;
  std::size_t last = std::numeric_limits<std::size_t>::max();
  std::size_t stride = 1;
  std::vector<std::span<const std::byte>> watched = {};
  std::function<void(const kill_point&)> meanwhile = nullptr;
  bool accelerate = true;
  std::size_t stop_after_failures = 5;     // kill points at which `after` failed
  milliseconds limit = default_timeout();  // for one stop of one victim
};

struct sweep_result {
  std::size_t length = 0;          // instructions of the recorded run
  std::size_t states = 0;          // new states of the watched bytes
  std::size_t deaths = 0;          // kill points
  std::size_t preempted = 0;       // points at which others worked meanwhile
  std::size_t asleep = 0;          // those of them inside of a blocking system call
  std::size_t accelerated = 0;     // those of them reached by a breakpoint
  std::size_t diverged = 0;        // runs that left the recorded path and were repeated
  std::size_t recorded_again = 0;  // times that the path was recorded again
  bool last_survived = false;
  std::string describe() const;
};

/// Throws when the victim ends by itself, never reaches a marker, or sleeps for ever.
sweep_result sweep(const sweep_plan& plan);

}  // namespace outlive::testing
