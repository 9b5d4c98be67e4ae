// The slow paths of lock(), try_lock() and unlock(): everything but an uncontended, consistent mutex of the segment that the thread used last.
#pragma once

#include <chrono>
#include <exception>
#include <system_error>

#include "sync/heir.hpp"

namespace outlive::detail {

// How long a caller waits: not at all, until a point in time, or for ever.
struct patience {
  bool waits;
  std::chrono::steady_clock::time_point until;

  static constexpr patience none() noexcept { return {false, {}}; }
  static constexpr patience unlimited() noexcept { return {true, std::chrono::steady_clock::time_point::max()}; }
};

struct acquisition {
  bool acquired = false;  // false without an error: somebody else has it
  std::error_code error;
  std::exception_ptr thrown;  // what the repair threw
};

// Acquires the mutex from the start. Throws what attach_this_thread() throws.
acquisition acquire(lock_bytes& lock, patience how_long, const void* return_address);

// Goes on where the fast path stopped: the entry is in the held list, the native trylock said `rc`.
acquisition acquire_pushed(lock_bytes& lock, int rc, patience how_long);

// Releases a mutex by any of the thread's attachments. Returns errc::not_owner before any store.
std::error_code release(lock_bytes& lock) noexcept;

}  // namespace outlive::detail
