// segment_access: the library's way from a segment, the user's object, to its mapping.
#pragma once

#include <outlive/segment.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

struct segment_access {
  static const std::shared_ptr<mapping>& mapping_of(const segment& from) noexcept {
    return from.mapping_;
  }
};

}  // namespace outlive::detail
