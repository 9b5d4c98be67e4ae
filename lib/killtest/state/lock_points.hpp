// lock_points: for each lock of a victim, a place to die while it is held, found in the log of its
// stores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

struct lock_point {
  std::uint64_t mutex = 0;  // offset
  std::size_t stores = 0;   // that the victim has executed by then, without its set-up
};

// One for each acquired lock: after the first store to an object of the segment while the lock is
// held, or after the lock itself if there is no such store before the next lock or the release.
// `base`: the segment as it was when the log began. `mutexes`: offsets of robust mutexes.
[[nodiscard]] std::vector<lock_point> lock_points_of(const recording& log, const char* base,
                                                     std::size_t size,
                                                     const std::vector<std::uint64_t>& mutexes);

}  // namespace outlive::killtest::detail
