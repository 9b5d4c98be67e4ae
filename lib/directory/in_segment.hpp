// Objects that only make sense in a segment ask where they are.
#pragma once

#include <memory>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// Returns: the mapping that the object lies in, or is being constructed in. Throws
//   errc::not_in_segment; `what` names the object's kind.
std::shared_ptr<mapping> require_in_segment(const void* object, const char* what);

}  // namespace outlive::detail
