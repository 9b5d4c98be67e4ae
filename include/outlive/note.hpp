// note: 64 bits that a thread leaves in its record of a segment, for the report of its death.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstdint>

#include <outlive/detail/export.hpp>

namespace outlive {

class segment;

// Stores `value` in the calling thread's record. After a death, owner_death::owner().note and the
// death log show it. Its meaning is up to you: a request id, a step of an algorithm. It is 0 at
// first, and stays until the next note().
// Errors: those of a thread's first use of a segment (robust_mutex::lock()).
// After fork: the child's record starts with 0.
OUTLIVE_API void note(const segment& seg, std::uint64_t value);

}  // namespace outlive
