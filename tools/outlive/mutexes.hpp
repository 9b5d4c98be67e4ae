// Mutexes as users name them on the command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <outlive/segment_view.hpp>

namespace mutexes {

// "bank", "bank+0x40", or "0x1240": an offset in the segment.
// Returns: nothing where there is no such mutex.
[[nodiscard]] std::optional<outlive::viewed_lock> find(const outlive::segment_view& view,
                                                       const std::string& named);

// Returns: those that recover() would do something about.
[[nodiscard]] std::vector<outlive::viewed_lock> left_by_the_dead(const outlive::segment_view& view);

}  // namespace mutexes
