// The native robust mutex: pthread's, as the kernel and glibc keep it, and what pthread does not
// offer: a look at its word, a wait in slices that leaves no pending entry, and the adoption of an
// orphan.
//
// The word is the kernel's (robust-futexes ABI): the owner's thread id, FUTEX_WAITERS (bit 31),
// FUTEX_OWNER_DIED (bit 30). Death at any instruction of the calls below leaves a mutex that the
// next locker gets, as the step tests show (docs/protocol.md, "The kill points").
//
// libc believes the mutex's kind blindly, and the kind lies in shared memory: with one bit of it
// changed a call asserts and aborts, forgets that the mutex is robust, or leaves it in the thread's
// robust list for ever. So each call looks at it first. The kind that we make is a constant of
// libc.
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
  // A30, A42).
  // Throws std::system_error where the system has none.
  static void init(pthread_mutex_t& mutex);

  // 0, EOWNERDEAD, EBUSY, EDEADLK; EINVAL: of another kind, and nothing was done. Never called on a
  // mutex that is ENOTRECOVERABLE: no code path makes one (hazard A37).
  static int try_lock(pthread_mutex_t& mutex) noexcept {
    if (!is_intact(mutex)) [[unlikely]]
      return EINVAL;
    return try_lock_intact(mutex);
  }
  // Requires: is_intact(), asked just before.
  static int try_lock_intact(pthread_mutex_t& mutex) noexcept {
    return pthread_mutex_trylock(&mutex);
  }

  // Waits at most until `deadline`. 0, EOWNERDEAD, ETIMEDOUT, EDEADLK; EINVAL as above. A timed
  // call of glibc that did not acquire leaves the mutex in the thread's list_op_pending, where the
  // kernel would write at the thread's end (hazard A14): it is cleared before this returns.
  static int lock_until(pthread_mutex_t& mutex, steady_point deadline) noexcept;

  // Requires: the calling thread holds it. One whose kind was changed since is released, too, and
  //   keeps that kind, for the next locker to see.
  static void unlock(pthread_mutex_t& mutex) noexcept {
    if (is_intact(mutex)) [[likely]]
      pthread_mutex_unlock(&mutex);
    else
      unlock_changed(mutex);
  }
  // Of another kind it fails by itself, and does nothing.
  static int consistent(pthread_mutex_t& mutex) noexcept {
    return pthread_mutex_consistent(&mutex);
  }

  static constexpr std::uint32_t tid_mask = 0x3fffffff;
  static constexpr std::uint32_t owner_died = 0x40000000;
  static constexpr std::uint32_t waiters = 0x80000000;

  // The word, read with acquire: whoever sees a dead thread's id gone from it sees all that thread
  // had stored.
  static std::uint32_t word(const pthread_mutex_t& mutex) noexcept;
  static pid_t owner_in(std::uint32_t word) noexcept { return static_cast<pid_t>(word & tid_mask); }

  // Finishes the kernel's work at an orphan: `seen`, a word with a thread id that was judged dead,
  // becomes OWNER_DIED, keeping WAITERS, and one waiter is woken. False: the word has changed
  // meanwhile, and nothing was done.
  // Requires: the adoption mutex of the segment, so that no second adopter can do it in between
  //   (protocol.md U6).
  static bool adopt(pthread_mutex_t& mutex, std::uint32_t seen) noexcept;

  // Asks the kernel and glibc to wake somebody on this mutex when its owner ends, even if nobody
  // seems to wait: for liveness mutexes, on which nobody waits through pthread. Requires: the
  // calling thread holds the mutex.
  static void always_wake(pthread_mutex_t& mutex) noexcept;

  // Wakes one waiter of a mutex that is free: one that a killed waiter left asleep (hazard A16).
  static void wake_one(pthread_mutex_t& mutex) noexcept;

  // Whether the bytes are those of a mutex that init() made: its kind. A plain load: nobody writes
  // it once the mutex is made.
  static bool is_intact(const pthread_mutex_t& mutex) noexcept {
    int kind;
    std::memcpy(&kind, reinterpret_cast<const char*>(&mutex) + kind_at, sizeof kind);
    return kind == our_kind;
  }
  // Puts the kind right that was changed. For a mutex that guards nothing, and whose other bytes
  // nobody need believe.
  static void put_right(pthread_mutex_t& mutex) noexcept {
    std::memcpy(reinterpret_cast<char*>(&mutex) + kind_at, &our_kind, sizeof our_kind);
  }

 private:
  // Where libc keeps the kind, and what that of a process-shared, robust, error-checking mutex is;
  // init() checks it. glibc: the fifth int of __data (x86-64 and aarch64 alike),
  // PTHREAD_MUTEX_ERRORCHECK_NP with bits 4 and 7. musl: _m_type, PTHREAD_MUTEX_ERRORCHECK with
  // bits 2 and 7.
#ifdef __GLIBC__
  static constexpr std::size_t kind_at = 16;
  static constexpr int our_kind = 0x92;
#else
  static constexpr std::size_t kind_at = 0;
  static constexpr int our_kind = 0x86;
#endif
  static void unlock_changed(pthread_mutex_t& mutex) noexcept;
};

// Whether the kernel has a robust list of the calling thread. Without it a death is never noticed
// (hazard A31).
bool has_robust_list() noexcept;

}  // namespace outlive::detail
