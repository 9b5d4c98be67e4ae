// Adoption finishes the kernel's work at an orphan, a lock whose owner is dead but which the kernel
// did not mark (hazards A1, A12, A23, A54, A55).
//
// Under the segment's adoption mutex: read the word, find its owner, judge, CAS the dead thread id
// to OWNER_DIED, wake one. Without the mutex a second adopter's CAS could hit a lock that a thread
// with the same, reused id has acquired meanwhile (docs/model/adopt.pml).
//
// An adopter that is stopped must not delay the others for longer than they want to wait. So each
// of them gives a limit.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"
#include "records/lock_natively.hpp"

namespace outlive::detail {

// Adopts the lock if its owner is certainly dead. `limit`: for other adopters. Requires: the
// calling thread does not hold the lock; then a word with its own thread id is a dead bearer's, too
// (U6).
adoption adopt_if_orphan(mapping& map, lock_bytes& lock, const deadline& limit) noexcept;

// The same for a liveness mutex. The kernel walks it last, so it is the first to stay unmarked.
adoption adopt_liveness_if_orphan(mapping& map, std::uint32_t index,
                                  const deadline& limit) noexcept;

// The same for one of the library's own locks.
adoption adopt_internal_if_orphan(mapping& map, internal_lock& lock, internal_kind which,
                                  const deadline& limit) noexcept;

}  // namespace outlive::detail
