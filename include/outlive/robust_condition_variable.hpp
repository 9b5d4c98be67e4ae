// robust_condition_variable: a condition variable in a segment that survives the death of everybody
// who uses it.
//
// glibc's process-shared condition variable hangs for ever once a process was killed in a wait or a
// notification (hazards A58, A59). This one keeps no list of waiters: a waiter that dies leaves
// nothing behind. What a death can cost is the delay of one wake-up, by at most 250 ms.
//
//   struct mailbox { bool full; long letter; };
//   auto& box   = seg.find_or_construct<outlive::guarded<mailbox>>("box", "mailbox");
//   auto& ready = seg.find_or_construct<outlive::robust_condition_variable>("box is full");
//   { auto x = box.lock(); x->letter = 42; x->full = true; }            // the sender
//   auto x = box.lock();                                                // the receiver
//   ready.wait(x, [&] { return x->full; });
//
// There is no wait without a predicate: wake-ups come for no reason, and one that a dying process
// took with it is made up for only by asking the predicate again, which a waiter does at least
// every 250 ms. The predicate must change under the mutex that the waiters hold.
//
// A waiter releases the mutex and acquires it again. Acquiring is lock(): after an owner's death it
// runs the repair, before the predicate is asked. When it fails (owner_died_unrepaired,
// not_recoverable, repair_failed ...) that error is thrown, and the lock object owns nothing.
//
// What kills at each point leave, by the value of `seq_` (bit 0: maybe waiters; it counts by 2):
//
//   killed                                        what is left              cost
//   --------------------------------------------  ------------------------  ----------------------
//   a waiter, before or after it marked the bit   at most the bit           one notify makes two
//                                                                             system calls
//   a waiter asleep, or on its way out            nothing                   a wake-up meant for
//                                                                             another: 250 ms
//   a notifier before it counted                  nothing was notified      others see the change
//                                                                             250 ms late
//   a notifier between counting and waking        sleepers on the old       250 ms
//                                                   count
//   a notifier that cleared the bit, before       sleepers without a bit    250 ms, then waiters
//     waking                                                                  set it again
#pragma once

#include <outlive/detail/requirements.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stop_token>

#include <outlive/deadline.hpp>
#include <outlive/export.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

namespace detail {
// Sleeps until `seq` is not `seen` any more, somebody wakes, or a slice or `left` is over. Any of
// them may come for no reason.
OUTLIVE_API void wait_for_notification(const std::atomic<std::uint32_t>& seq, std::uint32_t seen,
                                       std::chrono::nanoseconds left) noexcept;

// What a wait needs of a lock object: std::unique_lock<robust_mutex>, and the guard of a
// guarded<T>.
template <class Lock>
concept waitable_lock = requires(Lock& lock) {
  lock.lock();
  lock.unlock();
  static_cast<bool>(lock);
};
}  // namespace detail

class robust_condition_variable {
 public:
  // Makes a condition variable without waiters. Requires: the memory lies in a segment that this
  // process has mapped.
  // Errors: errc::not_in_segment.
  OUTLIVE_API robust_condition_variable();
  // Marks the memory as no condition variable any more. Requires: nobody waits.
  OUTLIVE_API ~robust_condition_variable();
  robust_condition_variable(const robust_condition_variable&) = delete;
  robust_condition_variable& operator=(const robust_condition_variable&) = delete;

  // Wakes one waiter, if there is one. Requires: what the predicates ask was changed under the
  // mutex; the caller may hold it still, or not. Makes no system call while nobody waits, but for
  // one call after the last waiter has gone. Signal-safe: yes.
  void notify_one() noexcept {
    if ((seq_.load(std::memory_order_relaxed) & maybe_waiters) != 0) wake_one();
  }
  // Wakes all waiters. As notify_one() otherwise.
  void notify_all() noexcept {
    if ((seq_.load(std::memory_order_relaxed) & maybe_waiters) != 0) wake_all();
  }

  // Waits until predicate() is true, which is asked with the mutex held. All of these are inlined,
  // so that the report of a death names the function that called them.
  // Requires: the lock object holds its mutex; all who wait at one time use the same one; the
  //   calling thread is in no repair.
  // Errors: those of lock() and unlock() of the lock object; then it owns nothing. What the
  //   predicate throws; then it owns the mutex. errc::damaged when these bytes are no condition
  //   variable.
  // Blocks: until it was notified and the predicate is true, and for the mutex.
  // After fork: a child that the predicate forks holds no mutex, so its wait ends with
  //   errc::not_owner, or the lock object's own error.
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] void wait(Lock& lock, Predicate predicate) {
    require_intact();
    while (!predicate()) {
      const std::uint32_t seen = mark();
      lock.unlock();
      detail::wait_for_notification(seq_, seen, std::chrono::nanoseconds::max());
      lock.lock();
    }
  }

  // The same until a point in time. Returns: what the predicate says at the end. The clock is asked
  // at least every 250 ms, so that a wait on system_clock follows it when it is set. Requires: its
  // now() throws nothing and acquires no lock.
  template <detail::waitable_lock Lock, class Clock, class Duration, class Predicate>
  [[gnu::always_inline]] bool wait_until(Lock& lock,
                                         const std::chrono::time_point<Clock, Duration>& deadline,
                                         Predicate predicate) {
    return wait_in_time(lock, detail::deadline::at(deadline), predicate);
  }
  template <detail::waitable_lock Lock, class Rep, class Period, class Predicate>
  [[gnu::always_inline]] bool wait_for(Lock& lock,
                                       const std::chrono::duration<Rep, Period>& timeout,
                                       Predicate predicate) {
    return wait_in_time(lock, detail::deadline::after(timeout), predicate);
  }

  // The same until stop is requested. Returns: what the predicate says at the end.
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] bool wait(Lock& lock, const std::stop_token& stop, Predicate predicate) {
    return wait_in_time(lock, stop, detail::no_limit, predicate);
  }
  template <detail::waitable_lock Lock, class Clock, class Duration, class Predicate>
  [[gnu::always_inline]] bool wait_until(Lock& lock, const std::stop_token& stop,
                                         const std::chrono::time_point<Clock, Duration>& deadline,
                                         Predicate predicate) {
    return wait_in_time(lock, stop, detail::deadline::at(deadline), predicate);
  }
  template <detail::waitable_lock Lock, class Rep, class Period, class Predicate>
  [[gnu::always_inline]] bool wait_for(Lock& lock, const std::stop_token& stop,
                                       const std::chrono::duration<Rep, Period>& timeout,
                                       Predicate predicate) {
    return wait_in_time(lock, stop, detail::deadline::after(timeout), predicate);
  }

 private:
  static constexpr std::uint32_t maybe_waiters = 1;

  // Sets the bit "maybe waiters" while the mutex is held, so before whatever a notifier changes
  // next. Returns the value to sleep on.
  std::uint32_t mark() noexcept { return seq_.fetch_or(maybe_waiters) | maybe_waiters; }
  OUTLIVE_API void require_intact() const;
  OUTLIVE_API void wake_one() noexcept;
  OUTLIVE_API void wake_all() noexcept;

  template <class Lock, class Predicate>
  [[gnu::always_inline]] bool wait_in_time(Lock& lock, const detail::deadline& until,
                                           Predicate& predicate) {
    require_intact();
    while (!predicate()) {
      const auto left = until.left();
      if (left <= left.zero()) return false;
      const std::uint32_t seen = mark();
      lock.unlock();
      detail::wait_for_notification(seq_, seen, left);
      lock.lock();
    }
    return true;
  }
  template <class Lock, class Predicate>
  [[gnu::always_inline]] bool wait_in_time(Lock& lock, const std::stop_token& stop,
                                           const detail::deadline& until, Predicate& predicate) {
    require_intact();
    const std::stop_callback wake(stop, [this]() noexcept { wake_all(); });
    while (!predicate()) {
      const std::uint32_t seen = mark();
      // After the mark: a request that this does not see finds the mark, and wakes.
      const auto left = until.left();
      if (stop.stop_requested() || left <= left.zero()) return false;
      lock.unlock();
      detail::wait_for_notification(seq_, seen, left);
      lock.lock();
    }
    return true;
  }

  // The shared bytes; docs/format.md and lib/format/layout.hpp say who writes them when.
  std::atomic<std::uint32_t> seq_;
  std::uint32_t magic_;
};

template <>
inline constexpr bool shareable<robust_condition_variable> = true;

}  // namespace outlive
