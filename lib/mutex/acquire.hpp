// The slow paths of lock(), try_lock() and unlock(): everything but an uncontended, consistent
// mutex of the segment that the thread used last.
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <system_error>

#include <outlive/detail/deadline.hpp>

#include "mutex/heir.hpp"

namespace outlive::detail {

struct acquisition {
  bool acquired = false;  // false without an error: somebody else has it
  std::error_code error;
  std::exception_ptr thrown;  // what the repair threw
};

// Acquires the mutex from the start. Throws what attach_this_thread() throws.
acquisition acquire(lock_bytes& lock, const deadline& how_long, const void* return_address);

// Goes on where the fast path stopped: the entry is in the held list, the native trylock said `rc`.
acquisition acquire_pushed(lock_bytes& lock, int rc, const deadline& how_long);

// Releases a mutex by any of the thread's attachments. Returns errc::not_owner before any store.
std::error_code release(lock_bytes& lock) noexcept;

// For the forms with an error code. Only std::system_error is caught, and want of memory: a
// thread's forced unwind must pass.
template <class Acquire>
bool coded(std::error_code& error, Acquire acquire) {
  try {
    const acquisition result = acquire();
    error = result.error;
    return result.acquired;
  } catch (const std::system_error& failure) {
    error = failure.code();
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  return false;
}

// ---- the steps of it, for locks that do more between them --------------------------------------

// Who wants a lock, and where the lock is. Without a thread: why it may not be had; or, without an
// error, no thread record came free in time.
struct approach {
  attachment* mine = nullptr;
  std::uint64_t offset = 0;
  std::error_code error;
};

// Takes the slot off, finds the lock, and attaches the thread to its segment. `shared`: which kind
// of lock is expected.
approach approach_lock(lock_bytes& lock, bool shared, const deadline& how_long);

// Whether the state says that the calling thread is inside, or repairs.
bool is_held_by(const lock_bytes& lock, const attachment& mine) noexcept;

// From an entry in the held list, and what the native trylock said, to a consistent mutex, waiting
// if need be. Where it ended otherwise, the thread has nothing in hand, and the slot is on.
struct taking {
  bool taken = false;
  acquisition ended;
};
taking take(attachment& mine, lock_bytes& lock, std::uint64_t offset, int rc,
            const deadline& how_long, once_consistent then);

}  // namespace outlive::detail
