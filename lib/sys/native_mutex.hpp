// The native robust mutex: pthread's, as the kernel and glibc keep it, and the four things that pthread does not offer: a
// look at its word, a wait in slices that leaves no pending entry, and the adoption of an orphan.
//
// The word is the kernel's (robust-futexes ABI): the owner's thread id, FUTEX_WAITERS (bit 31), FUTEX_OWNER_DIED (bit 30).
// Death at any instruction of the calls below leaves a mutex that the next locker gets, as the step tests show (docs/protocol.md, "The kill points").
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstdint>

namespace outlive::detail {

class native_mutex {
 public:
  using steady_point = std::chrono::steady_clock::time_point;

  // Makes a process-shared, robust, error-checking mutex. Never PI, never recursive (hazards A21, A30, A42).
  // Throws std::system_error where the system has none.
  static void init(pthread_mutex_t& mutex);

  // 0, EOWNERDEAD, EBUSY, EDEADLK. Never called on a mutex that is ENOTRECOVERABLE: no code path makes one (hazard A37).
  static int try_lock(pthread_mutex_t& mutex) noexcept { return pthread_mutex_trylock(&mutex); }

  // Waits at most until `deadline`. 0, EOWNERDEAD, ETIMEDOUT, EDEADLK. A timed call of glibc that did not acquire leaves
  // the mutex in the thread's list_op_pending, where the kernel would write at the thread's end (hazard A14): it is
  // cleared before this returns.
  static int lock_until(pthread_mutex_t& mutex, steady_point deadline) noexcept;

  static int unlock(pthread_mutex_t& mutex) noexcept { return pthread_mutex_unlock(&mutex); }
  static int consistent(pthread_mutex_t& mutex) noexcept { return pthread_mutex_consistent(&mutex); }

  static constexpr std::uint32_t tid_mask = 0x3fffffff;
  static constexpr std::uint32_t owner_died = 0x40000000;
  static constexpr std::uint32_t waiters = 0x80000000;

  // The word, read with acquire: whoever sees a dead thread's id gone from it sees all that thread had stored.
  static std::uint32_t word(const pthread_mutex_t& mutex) noexcept;
  static pid_t owner_in(std::uint32_t word) noexcept { return static_cast<pid_t>(word & tid_mask); }

  // Finishes the kernel's work at an orphan: `seen`, a word with a thread id that was judged dead, becomes OWNER_DIED,
  // keeping WAITERS, and one waiter is woken. False: the word has changed meanwhile, and nothing was done.
  // Requires: the adoption mutex of the segment, so that no second adopter can do it in between (protocol.md U6).
  static bool adopt(pthread_mutex_t& mutex, std::uint32_t seen) noexcept;

  // Asks the kernel and glibc to wake somebody on this mutex when its owner ends, even if nobody seems to wait: for
  // liveness mutexes, on which nobody waits through pthread. Requires: the calling thread holds the mutex.
  static void always_wake(pthread_mutex_t& mutex) noexcept;

  // Wakes one waiter of a mutex that is free: one that a killed waiter left asleep (hazard A16).
  static void wake_one(pthread_mutex_t& mutex) noexcept;

  // Whether the bytes are those of a mutex that init() made: its kind, which pthread calls believe blindly.
  static bool is_intact(const pthread_mutex_t& mutex) noexcept;
};

// Whether the kernel has a robust list of the calling thread. Without it a death is never noticed (hazard A31).
bool has_robust_list() noexcept;

}  // namespace outlive::detail
