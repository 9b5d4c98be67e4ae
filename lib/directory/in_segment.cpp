#include "directory/in_segment.hpp"

#include <string>

#include "directory/directory.hpp"
#include "error/failure.hpp"

namespace outlive::detail {

std::shared_ptr<mapping> require_in_segment(const void* object, const char* what) {
  if (mapping* const map = directory::constructing_at(object)) return map->shared_from_this();
  if (auto map = mapping_table::find(object)) return map;
  fail(errc::not_in_segment,
       std::string(what) +
           ": found it in ordinary memory, expected it in a segment (segment::find_or_construct)");
}

}  // namespace outlive::detail
