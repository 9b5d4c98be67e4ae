// How outlive's own protocols are explored.
#pragma once

#include <string>

#include <outlive/killtest/explore.hpp>
#include <outlive/segment_view.hpp>

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

/// What `outlive check` says of a crash state: no death is damage.
inline std::string no_alarm(segment& seg) {
  const auto problems = segment_view(seg).problems();
  return problems.empty() ? std::string() : "check: " + to_string(problems.front());
}

}  // namespace outlive::killtest::testing
