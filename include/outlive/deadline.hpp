// deadline: how long a caller is willing to wait. Every timed function converts its argument to
// one, and every wait asks it how much time is left. Durations and points in time are converted
// nowhere else.
//
// Arguments may have any unit and any clock, so they are compared and subtracted in floating point.
// In the integers of std::chrono, sys_seconds::max() against a clock of nanoseconds overflows, and
// so does the year 2400 in days. A long double holds every 64-bit number of nanoseconds exactly.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <ratio>
#include <type_traits>

namespace outlive::detail {

using steady_point = std::chrono::steady_clock::time_point;

class deadline {
 public:
  // The caller only tries and does not wait.
  static constexpr deadline none() noexcept { return deadline(steady_point::min(), false); }
  // The caller waits for as long as it takes.
  static constexpr deadline unlimited() noexcept { return deadline(steady_point::max(), true); }

  template <class Rep, class Period>
  static deadline after(const std::chrono::duration<Rep, Period>& timeout) noexcept {
    const real now = std::chrono::steady_clock::now().time_since_epoch();
    return deadline(steady_point(rounded_up(now + real(timeout))), true);
  }

  // Keeps the address of a point on another clock than steady_clock. Each look asks that clock,
  // because it may be set, and may run slower or faster.
  // Requires: `point` outlives the deadline; Clock::now() throws nothing and acquires no lock.
  template <class Clock, class Duration>
  static deadline at(const std::chrono::time_point<Clock, Duration>& point) noexcept {
    if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
      return deadline(steady_point(rounded_up(real(point.time_since_epoch()))), true);
    } else {
      deadline made = unlimited();
      made.point_ = &point;
      made.left_ = &left_until<Clock, Duration>;
      return made;
    }
  }

  // Returns: whether the caller waits, even if its time is already over.
  [[nodiscard]] constexpr bool waits() const noexcept { return waits_; }

  // Returns: the time that is left, rounded up: zero or less when it is over, max() when it has no
  //   end.
  [[nodiscard]] std::chrono::nanoseconds left() const noexcept {
    if (left_ != nullptr) return left_(point_);
    if (at_ == steady_point::max()) return std::chrono::nanoseconds::max();
    const auto now = std::chrono::steady_clock::now();
    // Compared first: the difference to a time long ago may overflow.
    return at_ <= now ? std::chrono::nanoseconds::zero() : at_ - now;
  }
  [[nodiscard]] bool is_over() const noexcept { return left() <= std::chrono::nanoseconds::zero(); }

 private:
  using real = std::chrono::duration<long double, std::nano>;

  constexpr deadline(steady_point at, bool waits) noexcept : at_(at), waits_(waits) {}

  // Rounds up, so that no wait ends early. Values that do not fit become max() or min(); "not a
  // number" becomes min().
  static std::chrono::nanoseconds rounded_up(real span) noexcept {
    using std::chrono::nanoseconds;
    if (span.count() >= real(nanoseconds::max()).count()) return nanoseconds::max();
    if (!(span.count() > real(nanoseconds::min()).count())) return nanoseconds::min();
    return std::chrono::ceil<nanoseconds>(span);
  }

  template <class Clock, class Duration>
  static std::chrono::nanoseconds left_until(const void* point) noexcept {
    const auto& until = *static_cast<const std::chrono::time_point<Clock, Duration>*>(point);
    return rounded_up(real(until.time_since_epoch()) - real(Clock::now().time_since_epoch()));
  }

  steady_point at_;
  bool waits_;
  const void* point_ = nullptr;
  std::chrono::nanoseconds (*left_)(const void* point) noexcept = nullptr;  // for `point_`
};

// Objects, so that a call passes an address and builds nothing.
inline constexpr deadline no_wait = deadline::none();
inline constexpr deadline no_limit = deadline::unlimited();

}  // namespace outlive::detail
