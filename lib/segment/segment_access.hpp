// segment_access: the mapping of a segment, the user's object.
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
