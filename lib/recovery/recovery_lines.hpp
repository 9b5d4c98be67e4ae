// What recover() and supervisors report of a mutex: a line for each one that a dead thread had in
// hand.
#pragma once

#include <outlive/recover.hpp>

#include "mapping/mapping.hpp"
#include "mutex/recovery.hpp"

namespace outlive::detail {

recovered_mutex describe(const mapping& map, const recovered_lock& lock);

}  // namespace outlive::detail
