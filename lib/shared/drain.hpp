// The drain: how a writer of a shared mutex keeps readers out, and waits for those that are inside.
#pragma once

#include <outlive/detail/deadline.hpp>

#include "mapping/mapping.hpp"
#include "mutex/outcome.hpp"

namespace outlive::detail {

// Closes the gate, and waits for readers. Requires: the calling thread has the native mutex, and
// the state is {0, consistent}.
// Returns: "acquired" when no living reader is inside, and none comes in while the gate is closed.
//   Otherwise the gate is closed and readers may be inside: the time is over, or, with
//   errc::no_membarrier, this process may not call membarrier.
outcome drain(const mapping& map, shared_lock_bytes& lock, const deadline& how_long) noexcept;

// As drain(), without waiting, and cheaper. Returns: false if only drain() can decide it.
bool drain_quickly(const mapping& map, shared_lock_bytes& lock) noexcept;

// Whether a living reader seems to be inside. Closes nothing, so readers may come or go at once.
bool has_readers(const mapping& map, const shared_lock_bytes& lock) noexcept;

// Opens the gate. Requires: the native mutex, a state of {0, consistent}.
void open_gate(shared_lock_bytes& lock) noexcept;

// Wakes the writer that sleeps until readers have left. For a reader that has removed its mark and
// found the gate awaited.
void wake_drainer(shared_lock_bytes& lock) noexcept;

}  // namespace outlive::detail
