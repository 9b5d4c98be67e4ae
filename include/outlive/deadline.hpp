// Deadlines: what the timed forms of the library's operations make of the caller's durations and points in time.
#pragma once

#include <chrono>

namespace outlive::detail {

using steady_point = std::chrono::steady_clock::time_point;

template <class Rep, class Period>
steady_point deadline_after(const std::chrono::duration<Rep, Period>& timeout) noexcept {
  const auto now = std::chrono::steady_clock::now();
  // Longer than a year counts as for ever; this also keeps the sum below from overflowing.
  // As seconds in floating point: an hour in picoseconds overflows 64 bits.
  using seconds = std::chrono::duration<double>;
  if (seconds(timeout) >= seconds(std::chrono::hours(24 * 365))) return steady_point::max();
  if (timeout <= timeout.zero()) return now;
  return now + std::chrono::ceil<std::chrono::steady_clock::duration>(timeout);
}

// A deadline on another clock is converted once: a later jump of that clock is not seen.
template <class Clock, class Duration>
steady_point steady_deadline(const std::chrono::time_point<Clock, Duration>& deadline) noexcept {
  const auto now = Clock::now();
  return deadline <= now ? std::chrono::steady_clock::now() : deadline_after(deadline - now);
}
inline steady_point steady_deadline(const steady_point& deadline) noexcept {
  return deadline;
}

}  // namespace outlive::detail
