// The native robust mutex: pthread's, as the kernel and glibc keep it, and what pthread does not
// offer: reading its word, waiting in slices that leave no pending entry, and adopting an orphan.
//
// The word is the kernel's (robust-futexes ABI): the owner's thread id, FUTEX_WAITERS (bit 31),
// FUTEX_OWNER_DIED (bit 30). A death at any instruction of the calls below leaves a mutex that the
// next locker gets, as the step tests show (docs/protocol.md, "The kill points").
//
// libc trusts the mutex's kind, which lies in shared memory. With one bit of it changed, a call
// asserts and aborts, forgets that the mutex is robust, or leaves it in the thread's robust list
// for ever. So each call checks the kind first. The kind that we make is a constant of libc.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace outlive::detail {

class native_mutex {
 public:
  using steady_point = std::chrono::steady_clock::time_point;

  // Makes a process-shared, robust, error-checking mutex. Never PI, never recursive (hazards A21,
  // A30, A42). Throws std::system_error if the system has no such mutex.
  static void init(pthread_mutex_t& mutex);

  // Returns: 0, EOWNERDEAD, EBUSY, EDEADLK, or EINVAL for another kind, and then nothing was done.
  // Never called on a mutex that is ENOTRECOVERABLE: no code path makes one (hazard A37).
  static int try_lock(pthread_mutex_t& mutex) noexcept {
    if (!is_intact(mutex)) [[unlikely]]
      return EINVAL;
    return try_lock_intact(mutex);
  }
  // Requires: is_intact(), checked just before.
  static int try_lock_intact(pthread_mutex_t& mutex) noexcept {
    return pthread_mutex_trylock(&mutex);
  }

  // Waits at most until `deadline`.
  // Returns: 0, EOWNERDEAD, ETIMEDOUT, EDEADLK, or EINVAL as above.
  // A timed call of glibc that does not acquire leaves the mutex in the thread's list_op_pending,
  // where the kernel would write at the thread's end (hazard A14). This function clears it.
  static int lock_until(pthread_mutex_t& mutex, steady_point deadline) noexcept;

  // Requires: the calling thread holds it. A mutex whose kind was changed since is released, too,
  //   and keeps that kind for the next locker to see.
  static void unlock(pthread_mutex_t& mutex) noexcept {
    if (is_intact(mutex)) [[likely]]
      pthread_mutex_unlock(&mutex);
    else
      unlock_changed(mutex);
  }
  // On another kind pthread fails, and does nothing.
  static int consistent(pthread_mutex_t& mutex) noexcept {
    return pthread_mutex_consistent(&mutex);
  }

  static constexpr std::uint32_t tid_mask = 0x3fffffff;
  static constexpr std::uint32_t owner_died = 0x40000000;
  static constexpr std::uint32_t waiters = 0x80000000;

  // The word, read with acquire: a thread that sees a dead thread's id gone sees all its stores.
  static std::uint32_t word(const pthread_mutex_t& mutex) noexcept;
  static pid_t owner_in(std::uint32_t word) noexcept { return static_cast<pid_t>(word & tid_mask); }

  // Finishes the kernel's work at an orphan: `seen`, a word with a thread id that was judged dead,
  // becomes OWNER_DIED, keeping WAITERS, and one waiter is woken. Returns false if the word has
  // changed meanwhile; then nothing was done.
  // Requires: the adoption mutex of the segment, so that no second adopter does it in between
  //   (protocol.md U6).
  static bool adopt(pthread_mutex_t& mutex, std::uint32_t seen) noexcept;

  // Makes the kernel and glibc wake a waiter of this mutex when its owner ends, even if nobody
  // seems to wait. For liveness mutexes, on which nobody waits through pthread. Requires: the
  // calling thread holds the mutex.
  static void always_wake(pthread_mutex_t& mutex) noexcept;

  // Wakes one waiter of a free mutex, whom a killed waiter left asleep (hazard A16).
  static void wake_one(pthread_mutex_t& mutex) noexcept;

  // Whether init() made a mutex of this kind here. A plain load: nobody writes the kind later.
  static bool is_intact(const pthread_mutex_t& mutex) noexcept {
    int kind;
    std::memcpy(&kind, reinterpret_cast<const char*>(&mutex) + kind_at, sizeof kind);
    return kind == our_kind;
  }
  // Corrects a kind that was changed. For a mutex that guards nothing, and of which no other byte
  // need be trusted.
  static void restore_kind(pthread_mutex_t& mutex) noexcept {
    std::memcpy(reinterpret_cast<char*>(&mutex) + kind_at, &our_kind, sizeof our_kind);
  }

 private:
  // Offset and value of the kind of a process-shared, robust, error-checking mutex; init() checks
  // them. glibc: the fifth int of __data (on x86-64 and aarch64), PTHREAD_MUTEX_ERRORCHECK_NP with
  // bits 4 and 7. musl: _m_type, PTHREAD_MUTEX_ERRORCHECK with bits 2 and 7.
#ifdef __GLIBC__
  static constexpr std::size_t kind_at = 16;
  static constexpr int our_kind = 0x92;
#else
  static constexpr std::size_t kind_at = 0;
  static constexpr int our_kind = 0x86;
#endif
  static void unlock_changed(pthread_mutex_t& mutex) noexcept;
};

// Whether the kernel has a robust list of the calling thread. Without one, a death goes unnoticed
// (hazard A31).
bool has_robust_list() noexcept;

}  // namespace outlive::detail
