// note: a breadcrumb of 64 bits that a thread leaves in its record of a segment, for whoever
// reports its death.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstdint>

#include <outlive/export.hpp>

namespace outlive {

class segment;

// Stores `value` in the calling thread's record; owner_death::owner().note and the death log tell
// it after a death. It is the user's to interpret: a request id, a step of an algorithm. It stays
// until the next note(); 0 at first.
// Errors: those of a thread's first use of a segment (robust_mutex::lock()).
// After fork: the child's record starts with 0.
OUTLIVE_API void note(const segment& where, std::uint64_t value);

}  // namespace outlive
