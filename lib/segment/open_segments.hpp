// open_segments: the handles that keep segments open in this process, and what happens when the
// last one of a segment ends.
#pragma once

#include <memory>

#include "mapping/mapping.hpp"

namespace outlive::detail {

class open_segments {
 public:
  // Maps the segment behind `file`, or finds this process's mapping of it, and registers the
  // process as a participant. `constants` have been checked. Throws the system's errors and
  // errc::too_many_participants.
  // Returns: a handle. When the last one ends, an idle record of the calling thread is released at
  //   once.
  static std::shared_ptr<mapping> open(file_descriptor file, const segment_constants& constants);
  // Another handle of a mapping, which keeps the segment open.
  static std::shared_ptr<mapping> handle_of(std::shared_ptr<mapping> owner);
};

}  // namespace outlive::detail
