// The slow paths of lock(), try_lock() and unlock(): everything but an uncontended, consistent
// mutex of the segment that the thread used last.
#pragma once

#include <new>
#include <system_error>

#include <outlive/detail/deadline.hpp>

#include "mutex/heir.hpp"
#include "mutex/outcome.hpp"

namespace outlive::detail {

// Acquires the mutex from where the fast path stopped. Throws what attach() throws.
outcome acquire(lock_bytes& lock, attempt so_far, const deadline& how_long,
                const void* return_address);

// Releases a mutex by any of the thread's attachments. Calls before_unlock() between the store of
// the state and the native unlock. Returns errc::not_owner before any store.
std::error_code release(lock_bytes& lock, void (*before_unlock)(lock_bytes&) noexcept) noexcept;
inline std::error_code release(lock_bytes& lock) noexcept {
  return release(lock, [](lock_bytes&) noexcept {});
}

// For the forms with an error code. It catches std::system_error and std::bad_alloc alone: a forced
// unwind of the thread must pass.
template <class Acquire>
bool acquire_with_code(std::error_code& error, Acquire acquire) {
  try {
    const outcome result = acquire();
    error = result.error;
    return result.acquired;
  } catch (const std::system_error& failure) {
    error = failure.code();
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  return false;
}

// ---- the steps of acquire(), for locks that do more between them -------------------------------
//
// A step that ends the call returns nullptr, or an outcome that is not acquired. Then the thread
// has no entry of the lock.

// Turns the slot off, finds the lock, and attaches the thread to its segment. `shared`: which kind
// of lock is expected. Without an error in `ended`: no thread record came free in time.
attachment* attach_to_lock(lock_bytes& lock, bool shared, const deadline& how_long, outcome& ended);

// Continues where the fast path stopped, up to an entry in the held list and a native try, whose
// result is in `so_far` then. Refuses a lock that the thread holds already, alone or shared.
// Calls before_try() where the fast path did not try, before there is an entry.
attachment* begin_acquire(
    lock_bytes& lock, bool shared, attempt& so_far, const deadline& how_long,
    const void* return_address, outcome& ended,
    void (*before_try)(const attachment&, lock_bytes&, const deadline&) noexcept =
        [](const attachment&, lock_bytes&, const deadline&) noexcept {});

// Continues from there to a consistent mutex, and waits if it must.
outcome acquire_consistent(attachment& mine, lock_bytes& lock, attempt so_far,
                           const deadline& how_long, once_consistent then);

// Whether the state says that the calling thread is inside, or repairs.
bool is_held_by(const lock_bytes& lock, const attachment& mine) noexcept;

// Turns the slot on. Returns: an outcome with that error.
outcome refuse(attachment& mine, std::error_code error) noexcept;
// Turns the slot on. For a thread that would wait for itself: an error, or, if it only tries, a
// busy mutex.
outcome refuse_holder(attachment& mine, const deadline& how_long) noexcept;

}  // namespace outlive::detail
