// deadline: how long a caller is willing to wait. Every timed function takes one, made from a
// std::chrono duration or from a point in time of any clock, and every wait asks it how much time
// is left. A stop token can end it sooner.
//
// The unit may be any, so times are compared and subtracted in floating point. In the integers of
// std::chrono, sys_seconds::max() against a clock of nanoseconds overflows, and so does the year
// 2400 in days. A long double holds every 64-bit number of nanoseconds exactly.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <algorithm>
#include <chrono>
#include <ratio>
#include <stop_token>
#include <type_traits>

namespace outlive::detail {

class deadline {
 public:
  using nanoseconds = std::chrono::nanoseconds;

  // So much time from now.
  template <class Rep, class Period>
  deadline(const std::chrono::duration<Rep, Period>& timeout) noexcept
      : deadline(time_of<std::chrono::steady_clock>() + real(timeout),
                 &time_of<std::chrono::steady_clock>) {}

  // Each look asks the point's own clock, because it may be set, and may run slower or faster than
  // steady_clock.
  // Requires: Clock::now() throws nothing and acquires no lock.
  template <class Clock, class Duration>
  deadline(const std::chrono::time_point<Clock, Duration>& point) noexcept
      : deadline(real(point.time_since_epoch()), &time_of<Clock>) {
    if (std::is_same_v<Clock, std::chrono::steady_clock> && at_ >= real(nanoseconds::max()))
      time_ = nullptr;
  }

  // The same, and over once a stop is requested. Requires: `stop` outlives it.
  deadline(const deadline& until, const std::stop_token& stop) noexcept : deadline(until) {
    stop_ = &stop;
  }

  // The caller only tries and does not wait.
  static constexpr deadline none() noexcept { return {real(nanoseconds::min()), nullptr}; }
  // The caller waits for as long as it takes.
  static constexpr deadline unlimited() noexcept { return {real(nanoseconds::max()), nullptr}; }

  // Returns: whether the caller waits, even if its time is already over.
  [[nodiscard]] constexpr bool waits() const noexcept {
    return time_ != nullptr || at_ > real::zero();
  }
  // Returns: the time that is left, rounded up: zero or less when it is over, max() when it has no
  //   end. A thread that sleeps for so long must be woken by a request to stop, or look again after
  //   a slice.
  [[nodiscard]] nanoseconds left() const noexcept {
    if (stop_ != nullptr && stop_->stop_requested()) return nanoseconds::zero();
    return rounded_up(time_ == nullptr ? at_ : at_ - time_());
  }
  [[nodiscard]] bool is_over() const noexcept { return left() <= nanoseconds::zero(); }
  // Returns: the token that ends it; one that never does if it has none.
  [[nodiscard]] std::stop_token stop() const noexcept {
    return stop_ != nullptr ? *stop_ : std::stop_token();
  }

  // No sleep is longer: the thread that was to wake the sleeper may be dead.
  static constexpr std::chrono::milliseconds slice{250};
  // Returns: the time that is left, from zero to a slice.
  [[nodiscard]] nanoseconds left_of_slice() const noexcept {
    return std::clamp<nanoseconds>(left(), nanoseconds::zero(), slice);
  }

 private:
  using real = std::chrono::duration<long double, std::nano>;

  constexpr deadline(real at, real (*time)() noexcept) noexcept : at_(at), time_(time) {}

  template <class Clock>
  static real time_of() noexcept {
    return Clock::now().time_since_epoch();
  }

  // Rounds up, so that no wait ends early. Values that do not fit become max() or min(); "not a
  // number" becomes min().
  static nanoseconds rounded_up(real span) noexcept {
    if (span >= real(nanoseconds::max())) return nanoseconds::max();
    if (!(span > real(nanoseconds::min()))) return nanoseconds::min();
    return std::chrono::ceil<nanoseconds>(span);
  }

  real at_;                  // on the clock that time_ reads
  real (*time_)() noexcept;  // nullptr: at_ is max(), without an end, or min(), without a wait
  const std::stop_token* stop_ = nullptr;
};

// Objects, so that a call passes an address and builds nothing.
inline constexpr deadline no_wait = deadline::none();
inline constexpr deadline no_limit = deadline::unlimited();

}  // namespace outlive::detail
