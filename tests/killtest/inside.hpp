// How outlive's own protocols are explored.
#pragma once

#include <outlive/killtest/explore.hpp>

namespace outlive::killtest::testing {

/// Deaths in outlive's books count as states of their own, and so does a thread's first use of the
/// segment.
inline explore_options inside() {
  explore_options how;
  how.own_records = true;
  how.from_first_use = true;
  how.depth = 2;
  return how;
}

}  // namespace outlive::killtest::testing
