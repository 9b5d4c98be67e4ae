// robust_mutex: a mutex in a segment that repairs what it protects when its owner dies.
//
// It satisfies Lockable and TimedLockable, so std::scoped_lock, std::unique_lock and std::lock work
// with it. Most programs should use outlive::guarded<T>, which holds the mutex and the data in one
// object.
//
// Invalid, and refused with an error instead of undefined behaviour:
//   - a mutex outside of a segment
//   - unlock by a thread that does not hold it, such as a forked child
//   - lock by the holder
//   - lock() of any robust mutex inside a repair
// Invalid, and not detected: moving or copying the bytes; a segment that outlive did not map.
//
//   auto seg = outlive::segment::open_or_create("stock");
//   auto guard = outlive::on_owner_death(seg, "shelf", [&](const outlive::owner_death&) {
//     ...;
//     return outlive::repaired;
//   });
//   auto& shelf = seg.find_or_construct<outlive::robust_mutex>("shelf 7", "shelf");
//   { std::scoped_lock hold(shelf); ... }
//
// The effect of lock() depends on the condition of the mutex:
//
//   condition        lock()                                             condition after it
//   ---------------  -------------------------------------------------  --------------------------
//   consistent       returns                                            consistent, held
//   consistent, and  runs the repair of this process, then returns      consistent, held
//    the owner died    the repair failed or threw:                      unrepaired (not recoverable
//    inside              errc::repair_failed                              at the last attempt),
//                                                                         free
//                      no repair registered:                            unrepaired, free
//                        errc::owner_died_unrepaired
//   unrepaired       the same; nobody need have died since
//   repairing        the former heir died in the repair: one more       as above
//                      attempt
//                      attempts used up: errc::not_recoverable          not recoverable, free
//   not recoverable  errc::not_recoverable                              not recoverable, free
//
// If an owner dies before it is inside, or after it has left, there is nothing to repair, and no
// repair runs.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string_view>
#include <system_error>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

class robust_shared_mutex;
template <class T, class Mutex>
class guarded;

namespace detail {
struct lock_access;
struct guarded_type;  // what a mutex guards as part of a guarded<T>: shared_type.hpp
}  // namespace detail

class alignas(64) robust_mutex {
 public:
  // Makes a free, consistent mutex of lock class `lock_class` ("account"): the name by which
  // repairs find it.
  // Requires: the memory lies in a segment that this process has mapped; the name has 1 to 63
  //   bytes.
  // Errors (thrown): errc::not_in_segment, errc::invalid_name, errc::type_mismatch (the class
  //   belongs to a guarded<T>), errc::no_space (class table full), errc::no_robust_list.
  OUTLIVE_API explicit robust_mutex(std::string_view lock_class);

  // The same as part of a guarded<T>: the lock class guards that type from then on.
  OUTLIVE_API robust_mutex(std::string_view lock_class, const detail::guarded_type& guards);

  // Marks the memory as no longer a mutex. Requires: no thread holds it or waits for it.
  OUTLIVE_API ~robust_mutex();

  robust_mutex(const robust_mutex&) = delete;
  robust_mutex& operator=(const robust_mutex&) = delete;

  // Acquires the mutex. After an owner's death it first runs the repair, by the table above.
  // Errors: not_in_segment, damaged, deadlock, in_repair, too_many_locks, owner_died_unrepaired,
  //   not_recoverable, repair_failed (an exception of the repair is nested in the
  //   std::system_error), forked_in_repair; at a thread's first use of the segment also
  //   too_many_threads, too_many_participants, no_robust_list, wrong_pid_namespace,
  //   std::errc::not_enough_memory. On every error the caller does not hold the mutex.
  // Blocks: until the mutex is free. It finds a dead owner that the kernel did not mark within
  //   250 ms (hazards A1, A16, A23). It waits for an owner that is stopped. At a mutex whose dead
  //   owner was not marked, it also waits for a stopped thread that was just recovering such a
  //   mutex, but no longer than it would wait anyway.
  // After fork: the child holds nothing that its parent held. It gets a thread record of its own at
  //   its first lock().
  // Signal-safe: no. Order: synchronises with the former holder's unlock(), or with all that it did
  //   before it died.
  // The form with an error code throws nothing. It is not noexcept, because a repair may end the
  // thread (pthread_exit).
  OUTLIVE_API void lock();
  OUTLIVE_API void lock(std::error_code& error);

  // As lock(), without waiting for the mutex.
  // Returns: false if a thread holds the mutex, the caller included, or if it set `error`.
  // Errors: as lock(), but it is allowed inside a repair.
  // At a thread's first use of a segment whose records all belong to dead threads, it recovers what
  // one of them holds; it returns false if no record is free after that. Now and then, at most
  // every 250 ms, it looks for a dead owner that the kernel did not mark. So a thread that never
  // calls lock() acquires such a mutex, too, but not at once.
  [[nodiscard]] OUTLIVE_API bool try_lock();
  [[nodiscard]] OUTLIVE_API bool try_lock(std::error_code& error);

  // As lock(), but returns false if it could not acquire the mutex in time, or found no thread
  // record for the caller. It does not cut a repair short that has begun. `timeout` is a
  // std::chrono duration; `deadline` a point in time. If that is on another clock than
  // steady_clock, the clock is asked at least every 250 ms. Requires: its now() throws nothing and
  // acquires no lock.
  [[nodiscard]] OUTLIVE_API bool try_lock_for(const detail::deadline& timeout);
  [[nodiscard]] OUTLIVE_API bool try_lock_for(const detail::deadline& timeout,
                                              std::error_code& error);
  // Inlined even without optimisation, so that the report of a death names the function that called
  // them.
  [[nodiscard, gnu::always_inline]] bool try_lock_until(const detail::deadline& deadline) {
    return try_lock_for(deadline);
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_until(const detail::deadline& deadline,
                                                        std::error_code& error) {
    return try_lock_for(deadline, error);
  }

  // As lock() and try_lock_for(), until stop is requested.
  // Returns: whether the mutex was acquired: false if a stop was requested, or the time was over,
  //   while another thread held it. A thread that waits notices the request within 250 ms.
  [[nodiscard, gnu::always_inline]] bool lock(const std::stop_token& stop) {
    return try_lock_for(detail::deadline(detail::no_limit, stop));
  }
  [[nodiscard, gnu::always_inline]] bool lock(const std::stop_token& stop, std::error_code& error) {
    return try_lock_for(detail::deadline(detail::no_limit, stop), error);
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_for(const detail::deadline& timeout,
                                                      const std::stop_token& stop) {
    return try_lock_for(detail::deadline(timeout, stop));
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_until(const detail::deadline& deadline,
                                                        const std::stop_token& stop) {
    return try_lock_for(deadline, stop);
  }

  // Releases the mutex. Errors: errc::not_owner, before anything is stored, if the calling thread
  // does not hold it.
  OUTLIVE_API void unlock();
  OUTLIVE_API void unlock(std::error_code& error) noexcept;

  // Returns: whether the calling thread holds the mutex and ran a repair when it acquired it.
  [[nodiscard]] OUTLIVE_API bool recovered() const noexcept;

  // Returns: the lock class given at construction; "unknown" if the segment's table does not have
  //   it.
  [[nodiscard]] OUTLIVE_API std::string_view lock_class() const noexcept;

 private:
  friend struct detail::lock_access;
  friend class robust_shared_mutex;
  template <class, class>
  friend class guarded;
  // unlock() for destructors: does nothing if the calling thread does not hold the mutex.
  OUTLIVE_API void release() noexcept;

  // The shared bytes (docs/format.md).
  pthread_mutex_t native_;
  std::uint64_t state_;
  std::uint32_t lock_class_;
  std::uint32_t magic_;
};

template <>
inline constexpr bool shareable<robust_mutex> = true;

}  // namespace outlive
