// The slow paths of robust_shared_mutex: all but a reader that finds the gate open, and a writer
// that finds neither owner nor reader.
#pragma once

#include <system_error>

#include "mutex/acquire.hpp"

namespace outlive::detail {

// A writer, from the start. Throws what attach_this_thread() throws.
acquisition acquire_unique(shared_lock_bytes& lock, const deadline& how_long,
                           const void* return_address);
// A writer, from where the fast path stopped: the entry is in the held list, the native trylock
// said `rc`; if that is 0 or EOWNERDEAD, the gate may be closed already.
acquisition acquire_unique_pushed(shared_lock_bytes& lock, int rc, const deadline& how_long);
// Returns errc::not_owner before any store.
std::error_code release_unique(shared_lock_bytes& lock) noexcept;

// A reader, from the start.
acquisition acquire_shared(shared_lock_bytes& lock, const deadline& how_long,
                           const void* return_address);
// Returns errc::not_owner before any store.
std::error_code release_shared(shared_lock_bytes& lock) noexcept;

}  // namespace outlive::detail
