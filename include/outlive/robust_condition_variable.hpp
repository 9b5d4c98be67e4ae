// robust_condition_variable: a condition variable in a segment that survives the death of any of
// its users.
//
// glibc's process-shared condition variable hangs for ever after a process is killed in a wait or a
// notification (hazards A58, A59). Here a waiter that dies leaves nothing behind.
//
//   struct mailbox { bool full; long letter; };
//   auto& box   = seg.find_or_construct<outlive::guarded<mailbox>>("box", "mailbox");
//   auto& ready = seg.find_or_construct<outlive::robust_condition_variable>("box is full");
//   { auto x = box.lock(); x->letter = 42; x->full = true; }  // the sender
//   ready.notify_one();
//   auto x = box.lock();  // the receiver
//   ready.wait(x, [&] { return x->full; });
//
// Every wait has a predicate, which must change under the mutex that the waiters hold. A wake-up
// may come without a reason, and may be lost with a dying process. So a waiter asks its predicate
// at least every 250 ms.
//
// A waiter releases the mutex and acquires it again by lock(). So after an owner's death it runs
// the repair before it asks the predicate. If lock() fails (owner_died_unrepaired, not_recoverable,
// repair_failed ...) the wait throws that error, and the lock object owns nothing.
//
// What a death costs:
//
//   killed                                      cost to the others
//   ------------------------------------------  --------------------------------------------------
//   a waiter, before it sleeps                  one notify makes two system calls
//   a waiter asleep, or on its way out          a wake-up meant for another waiter: 250 ms late
//   a notifier, before it has notified          they see the user's change 250 ms late
//   a notifier, while it notifies               a wake-up that is 250 ms late
#pragma once

#include <outlive/detail/requirements.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stop_token>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/detail/wait_loop.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

namespace detail {
// What a wait needs of a lock object: std::unique_lock<robust_mutex> or the guard of a guarded<T>.
template <class Lock>
concept waitable_lock = requires(Lock& lock) {
  lock.lock();
  lock.unlock();
  static_cast<bool>(lock);
};
}  // namespace detail

class notify_descriptor;

class robust_condition_variable {
 public:
  // Makes a condition variable without waiters.
  // Requires: the memory lies in a segment that this process has mapped.
  // Errors: errc::not_in_segment.
  OUTLIVE_API robust_condition_variable();
  // Marks the memory as no longer a condition variable. Requires: no thread waits.
  OUTLIVE_API ~robust_condition_variable();
  robust_condition_variable(const robust_condition_variable&) = delete;
  robust_condition_variable& operator=(const robust_condition_variable&) = delete;

  // Wakes one waiter, if there is one. Makes no system call while nobody waits, except for one call
  // after the last waiter has gone.
  // Requires: what the predicates ask was changed under the mutex; the caller may still hold it, or
  //   not.
  // Signal-safe: yes.
  void notify_one() noexcept {
    if ((seq_.load(std::memory_order_relaxed) & maybe_waiters) != 0) wake_one();
  }
  // Wakes all waiters. Otherwise as notify_one().
  void notify_all() noexcept {
    if ((seq_.load(std::memory_order_relaxed) & maybe_waiters) != 0) wake_all();
  }

  // Waits until predicate() is true. It asks the predicate with the mutex held. All of these are
  // inlined, so that the report of a death names the function that called them.
  // Requires: the lock object holds its mutex; all threads that wait at one time use the same
  //   mutex; the calling thread is not in a repair.
  // Errors: those of lock() and unlock() of the lock object; then it owns nothing. What the
  //   predicate throws; then it owns the mutex. errc::damaged if these bytes are no condition
  //   variable.
  // Blocks: until it was notified and the predicate is true, and for the mutex.
  // After fork: a child that the predicate forks holds no mutex, so its wait ends with
  //   errc::not_owner, or the lock object's own error.
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] void wait(Lock& lock, Predicate predicate) {
    wait_in_time(lock, detail::no_limit, {}, predicate);
  }

  // The same for a limited time: a std::chrono duration, or until a point in time. The clock of a
  // point is asked at least every 250 ms, so a wait on system_clock follows that clock when it is
  // set. Requires: its now() throws nothing and acquires no lock.
  // Returns: the result of the predicate at the end.
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] bool wait_for(Lock& lock, const detail::deadline& timeout,
                                       Predicate predicate) {
    return wait_in_time(lock, timeout, {}, predicate);
  }
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] bool wait_until(Lock& lock, const detail::deadline& deadline,
                                         Predicate predicate) {
    return wait_in_time(lock, deadline, {}, predicate);
  }

  // The same until stop is requested. Returns: the result of the predicate at the end.
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] bool wait(Lock& lock, const std::stop_token& stop, Predicate predicate) {
    return wait_in_time(lock, detail::no_limit, stop, predicate);
  }
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] bool wait_for(Lock& lock, const std::stop_token& stop,
                                       const detail::deadline& timeout, Predicate predicate) {
    return wait_in_time(lock, timeout, stop, predicate);
  }
  template <detail::waitable_lock Lock, class Predicate>
  [[gnu::always_inline]] bool wait_until(Lock& lock, const std::stop_token& stop,
                                         const detail::deadline& deadline, Predicate predicate) {
    return wait_in_time(lock, deadline, stop, predicate);
  }

 private:
  friend class notify_descriptor;
  static constexpr std::uint32_t maybe_waiters = 1;

  // While the mutex is held, and so before the next change by a notifier. Returns: the value to
  // sleep on.
  std::uint32_t mark() noexcept { return seq_.fetch_or(maybe_waiters) | maybe_waiters; }
  OUTLIVE_API void require_intact() const;
  OUTLIVE_API void wake_one() noexcept;
  OUTLIVE_API void wake_all() noexcept;

  template <class Lock, class Predicate>
  [[gnu::always_inline]] bool wait_in_time(Lock& lock, const detail::deadline& until,
                                           const std::stop_token& stop, Predicate& predicate) {
    require_intact();
    const std::stop_callback wake(stop, [this]() noexcept { wake_all(); });
    if (predicate()) return true;
    if (until.is_over()) return false;  // a poll leaves no mark
    std::uint32_t seen = 0;
    return detail::wait_in_slices(
        until, stop,
        // Without a look after it: the predicate cannot change while the mutex is held.
        [&]() __attribute__((always_inline)) {
          seen = mark();
          return false;
        },
        [&](std::chrono::nanoseconds left) __attribute__((always_inline)) {
          lock.unlock();
          detail::sleep_on(seq_, seen, left);
          lock.lock();
        },
        [&]() __attribute__((always_inline)) { return static_cast<bool>(predicate()); });
  }

  // The shared bytes (docs/format.md).
  std::atomic<std::uint32_t> seq_;
  std::uint32_t magic_;
};

template <>
inline constexpr bool shareable<robust_condition_variable> = true;

}  // namespace outlive
