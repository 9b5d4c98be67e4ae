// wait_word: a word of a segment that threads sleep on until somebody changes what they wait for.
// The waiting part of the condition variable, of permits and of queues.
//
// Bit 0 says "maybe somebody waits", so that a notification without a waiter is a load; the rest
// counts notifications. A waiter sets the bit, looks once more at what it waits for, and sleeps on
// the value that it then knows. It sleeps for a slice at most: whoever was to wake it may have died
// between the change and the wake. docs/protocol.md says why each of the simpler forms loses a
// wake-up.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>

#include <outlive/detail/deadline.hpp>

#include "format/object_layout.hpp"

namespace outlive::detail::wait_word {

inline constexpr std::uint32_t maybe_waiters = 1;
inline constexpr std::chrono::milliseconds slice(250);

// Sets the bit. Returns the value to sleep on. To be called before the last look at what is waited
// for.
inline std::uint32_t mark(shared_u32& word) noexcept {
  return word.fetch_or(maybe_waiters) | maybe_waiters;
}

// Sleeps until the word is not `seen` any more, somebody wakes, or a slice or `left` is over.
// Returns for any of these, or for no reason.
void wait(const shared_u32& word, std::uint32_t seen, std::chrono::nanoseconds left) noexcept;

// Looks for what is waited for until it is there, or the time is over, or a stop is requested.
// look(thoroughly) says whether it is there; `thoroughly` is set after a whole slice without a
// wake-up, when it is worth asking the kernel who lives. `after_mark` is called between the mark
// and the look: for who must make others' stores visible there.
// Returns: whether a look found it. Whoever requests a stop wakes all: seen too late here, the
//   request finds the mark.
template <class Look, class AfterMark>
bool until(shared_u32& word, const deadline& how_long, Look look, const std::stop_token& stop,
           AfterMark after_mark) {
  bool thoroughly = false;
  for (;;) {
    const std::uint32_t seen = mark(word);
    after_mark();
    if (look(thoroughly)) return true;
    const auto left = how_long.left();
    if (left <= left.zero() || stop.stop_requested()) return false;
    const auto asleep = std::chrono::steady_clock::now();
    wait_word::wait(word, seen, left);
    thoroughly = std::chrono::steady_clock::now() - asleep >= slice;
    // without a mark, which would cost the next who wakes two system calls for nobody
    if (look(thoroughly)) return true;
  }
}

template <class Look>
bool until(shared_u32& word, const deadline& how_long, Look look,
           const std::stop_token& stop = {}) {
  return until(word, how_long, look, stop, [] {});
}

// Wake one waiter, or all. wake_one() is to be called when the bit is set.
void wake_one(shared_u32& word) noexcept;
void wake_all(shared_u32& word) noexcept;

}  // namespace outlive::detail::wait_word
