// The loop of every wait on a word of shared memory.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stop_token>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>

namespace outlive::detail {

// Sleeps while `word` is `seen`, for `left` or a slice at most. It may also return for no reason.
OUTLIVE_API void sleep_on(const std::atomic<std::uint32_t>& word, std::uint32_t seen,
                          std::chrono::nanoseconds left) noexcept;

// Waits until what the caller waits for is there, the time is over, or a stop is requested.
//   bool mark()       marks that somebody waits, and then may look: a change that comes before the
//                     mark wakes nobody
//   void nap(left)    sleeps for `left` at most
//   bool look()       looks whether it is there, after each sleep
// Returns: whether mark() or look() found it. A request to stop must wake the sleeper: one that
//   comes after the look at `stop` finds the mark.
// All is inlined, so that a report of a death in nap() names the function that waits.
template <class Mark, class Nap, class Look>
[[gnu::always_inline]] inline bool wait_in_slices(const deadline& until,
                                                  const std::stop_token& stop, Mark mark, Nap nap,
                                                  Look look) {
  for (;;) {
    if (mark()) return true;
    const auto left = until.left();
    if (left <= left.zero() || stop.stop_requested()) return false;
    nap(left);
    if (look()) return true;
  }
}

}  // namespace outlive::detail
