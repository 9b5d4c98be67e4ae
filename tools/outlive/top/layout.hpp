// How the sections of a screen share its lines.
#pragma once

#include <cstddef>
#include <vector>

namespace top {

// `wanted`: how many rows each section has; `room`: lines for all. A section has a heading and, but
// for the first, an empty line before it. Returns: how many rows each gets, no more than it wants.
// Each gets one row, if there is room; then rows go one by one to the section that has the fewest
// of them, so that a long section leaves a short one whole.
[[nodiscard]] std::vector<std::size_t> share_rows(const std::vector<std::size_t>& wanted,
                                                  std::size_t room);

}  // namespace top
