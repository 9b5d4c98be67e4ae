// What recover() and supervisors tell of a mutex: a line for each one that a dead thread had in
// hand.
#pragma once

#include <cstdint>
#include <string>

#include <outlive/recover.hpp>

#include "mapping/mapping.hpp"
#include "mutex/recovery.hpp"

namespace outlive::detail {

recovered_mutex describe(const mapping& map, const recovered_lock& lock);

// Name of the object that contains the mutex, "unknown" if none does; the mutex need not be in
// hand.
std::string mutex_name_at(const mapping& map, std::uint64_t offset);

}  // namespace outlive::detail
