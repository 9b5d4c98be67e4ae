// wait_word: a word of a segment on which threads sleep until what they wait for changes. Condition
// variables, permits and queues wait on one.
//
// Bit 0 says "maybe a thread waits", so that a notification without a waiter is a load. The other
// bits count notifications. A waiter sets the bit, looks once more at what it waits for, and sleeps
// on the value that it knows then. It sleeps for a slice at most, because the thread that should
// wake it may have died between the change and the wake. docs/protocol.md says why each of the
// simpler forms loses a wake-up.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stop_token>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/wait_loop.hpp>

#include "format/object_layout.hpp"

namespace outlive::detail::wait_word {

inline constexpr std::uint32_t maybe_waiters = 1;

// Sets the bit. Returns: the value to sleep on. Call it before the last look at what is waited for.
inline std::uint32_t mark(shared_u32& word) noexcept {
  return word.fetch_or(maybe_waiters) | maybe_waiters;
}

// Looks for what is waited for until it is there, the time is over, or a stop is requested.
// look(thoroughly) returns whether it is there. `thoroughly` is true after a whole slice without a
// wake-up, when asking the kernel which threads live is worth its cost. after_mark() runs between
// the mark and the look, for a caller that must make the stores of others visible there.
// longest_nap() is asked after each look that found nothing: what is waited for may become due.
// Returns: whether a look found it. A request to stop must wake all (wait_in_slices()).
template <class Look, class AfterMark, class LongestNap>
bool until(shared_u32& word, const deadline& how_long, Look look, const std::stop_token& stop,
           AfterMark after_mark, LongestNap longest_nap) {
  using std::chrono::nanoseconds, std::chrono::steady_clock;
  std::uint32_t seen = 0;
  bool thoroughly = false;
  nanoseconds slept{};  // in naps that were cut short
  return wait_in_slices(
      how_long, stop,
      [&] {
        seen = mark(word);
        after_mark();
        return look(thoroughly);
      },
      [&](nanoseconds left) {
        const nanoseconds longest = longest_nap();
        const auto asleep = steady_clock::now();
        if (longest > nanoseconds::zero()) sleep_on(word, seen, std::min(left, longest));
        if (longest >= deadline::slice) slept = {};
        slept += steady_clock::now() - asleep;
        thoroughly = slept >= deadline::slice;
        if (thoroughly) slept = {};
      },
      // Without a mark, which would cost the next notifier two system calls for nothing.
      [&] { return look(thoroughly); });
}

template <class Look, class AfterMark>
bool until(shared_u32& word, const deadline& how_long, Look look, const std::stop_token& stop,
           AfterMark after_mark) {
  return until(word, how_long, look, stop, after_mark,
               [] { return std::chrono::nanoseconds::max(); });
}
template <class Look>
bool until(shared_u32& word, const deadline& how_long, Look look,
           const std::stop_token& stop = {}) {
  return until(word, how_long, look, stop, [] {});
}

// Wake one waiter, or all. Call wake_one() if the bit is set.
void wake_one(shared_u32& word) noexcept;
void wake_all(shared_u32& word) noexcept;

}  // namespace outlive::detail::wait_word
