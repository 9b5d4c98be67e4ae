// directory_rest: whether the directory did not change between two looks at it.
//
// Look-ups take no mutex, and neither do readers here: what they read belongs together only if
// nobody worked on the directory meanwhile. A free mutex at both ends does not say so, since
// somebody may have come and gone in between. So the count of acquisitions must be the same, too.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail {

class directory_rest {
 public:
  // Looks now. At rest: nobody has the directory's mutex, and nobody died with it. After such a
  // death the next holder counts again.
  explicit directory_rest(const mapping& map) noexcept;

  // Requires: the same segment. Returns: whether the directory was at rest at this earlier look,
  // and is since; then all that was read of it in between is one state.
  [[nodiscard]] bool lasts_until(const directory_rest& later) const noexcept {
    return at_rest_ && later.at_rest_ && acquisitions_ == later.acquisitions_;
  }

 private:
  std::uint64_t acquisitions_ = 0;
  bool at_rest_ = false;
};

}  // namespace outlive::detail
