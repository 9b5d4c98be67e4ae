// open_segments: the handles that keep segments open in this process, and what happens when the
// last one of a segment goes.
#pragma once

#include <memory>

#include "mapping/mapping.hpp"

namespace outlive::detail {

class open_segments {
 public:
  // Maps the segment behind `file`, or gives the mapping that this process has of it. `constants`
  // have been judged. Registers the process as a participant. Throws the system's errors and
  // errc::too_many_participants.
  // Returns: a handle. When the last one goes, a record of the calling thread is given back at
  //   once, if it holds nothing.
  static std::shared_ptr<mapping> open(file_descriptor file, const segment_constants& constants);
  // Another handle of a mapping, which keeps the segment open.
  static std::shared_ptr<mapping> handle_of(std::shared_ptr<mapping> owner);
};

}  // namespace outlive::detail
