// A segment with one mutex whose repair keeps what the owner's crash was, and ways to crash inside
// it.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <outlive/crash_recorder.hpp>
#include <outlive/outlive.hpp>

#include "support/child.hpp"

namespace outlive::testing {

// Not inlined, and not left by a tail call: their names are looked for in the stacks.
[[gnu::noinline]] inline void store_to_null() {
  int* volatile nowhere = nullptr;
  *static_cast<volatile int*>(nowhere) = 0;
}

[[gnu::noinline]] inline void divide_by_zero() {
  volatile int one = 1;
  volatile int zero = 0;
  volatile int result = one / zero;
  static_cast<void>(result);
}

[[gnu::noinline]] inline void touch_behind_the_end_of_a_file() {
  const int fd = ::memfd_create("short", 0);
  auto* const memory =
      static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  memory[0] = 1;
}

[[gnu::noinline]] inline void run_no_instruction() {
  asm volatile("ud2");
}

[[gnu::noinline]] inline void give_up() {
  std::abort();
}

[[gnu::noinline]] inline void call_nowhere() {
  void (*volatile nowhere)() = nullptr;
  nowhere();
  asm volatile("");
}

// What the compiler cannot make a loop of.
[[gnu::noinline]] inline int use_up_the_stack(volatile char* former) {
  static volatile bool enough = false;
  if (enough) return 0;
  volatile char room[4096];
  room[0] = former == nullptr ? '\0' : former[0];
  const int deeper = use_up_the_stack(room);
  return deeper + room[0];
}

inline bool names(const crash_report& crash, std::string_view function) {
  return std::any_of(crash.frames.begin(), crash.frames.end(), [&](const stack_frame& each) {
    return each.function.find(function) != std::string::npos;
  });
}

inline std::string text_of(const crash_report& crash) {
  std::string text = to_string(crash) + "\n";
  for (const stack_frame& each : crash.frames) text += to_string(each) + "\n";
  return text;
}

struct crash_test : ::testing::Test {
  segment seg = segment::anonymous();
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");

  /// What the next locker is told of the owner's crash.
  std::optional<crash_report> inherit() {
    std::optional<crash_report> told;
    unsigned repairs = 0;
    {
      const auto repair = on_owner_death(seg, "class", [&](const owner_death& death) {
        ++repairs;
        if (death.crash() != nullptr) told = to_report(*death.crash());
        return repaired;
      });
      mutex.lock();
      mutex.unlock();
    }
    EXPECT_EQ(repairs, 1U);
    const auto log = death_log(seg);
    EXPECT_FALSE(log.empty());
    if (!log.empty()) {
      EXPECT_EQ(log.back().crash.has_value(), told.has_value());
      if (told && log.back().crash) {
        EXPECT_EQ(log.back().crash->signal, told->signal);
        EXPECT_EQ(log.back().crash->address, told->address);
        EXPECT_EQ(log.back().crash->frames.size(), std::min<std::size_t>(told->frames.size(), 16));
      }
    }
    return told;
  }

  /// A child with a recorder that runs `act` with the mutex in hand.
  void crash_in_child(int expected, const std::function<void()>& act) {
    child dying("dying", [&](agent&) {
      const crash_recorder recorder;
      mutex.lock();
      act();
    });
    dying.expect_killed(expected);
  }
};

}  // namespace outlive::testing
