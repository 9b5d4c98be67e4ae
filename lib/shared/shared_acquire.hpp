// The slow paths of robust_shared_mutex: everything but a reader that finds the gate open, and a
// writer that finds neither owner nor reader.
#pragma once

#include <system_error>

#include <outlive/detail/deadline.hpp>

#include "format/object_layout.hpp"
#include "mutex/outcome.hpp"

namespace outlive::detail {

// A writer, from where the fast path stopped; the gate may be closed already. Throws what
// attach() throws.
outcome acquire_unique(shared_lock_bytes& lock, attempt so_far, const deadline& how_long,
                       const void* return_address);
// Returns errc::not_owner before any store.
std::error_code release_unique(shared_lock_bytes& lock) noexcept;

// A reader, from the start.
outcome acquire_shared(shared_lock_bytes& lock, const deadline& how_long,
                       const void* return_address);
// Returns errc::not_owner before any store.
std::error_code release_shared(shared_lock_bytes& lock) noexcept;

// Makes a writer's hold a reader's: no other writer comes in between. Returns errc::not_owner
// before any store; on every error the caller is a writer as before.
std::error_code downgrade(shared_lock_bytes& lock) noexcept;

}  // namespace outlive::detail
