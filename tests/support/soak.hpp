// Workers under random kills, for what an exhaustive sweep does not cover (several processes,
// waiters, real timing).
//
// Workers are killed at random times, or, for `aimed_share` of the kills, when `aim` says so (it
// reads shared memory, for example whether this worker holds a lock), and forked again. At the end
// the living ones are asked to stop and must exit well, so that sums can be checked. The seed is
// printed; OUTLIVE_SOAK_SEED sets it. It fixes the victims and the pauses, but not the scheduling:
// the same seed tries again, it does not replay.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "support/bounded.hpp"
#include "support/child.hpp"

namespace outlive::testing {

struct soak_worker {
  unsigned index;
  std::uint64_t life;  // of this index: 0 for the first process, 1 for its successor ...
  std::uint64_t seed;  // differs in each life
  agent& parent;
  const shared_value<std::uint32_t>& stop;

  bool stopping() const { return stop.load() != 0; }
};

struct soak_plan {
  unsigned workers = 4;
  /// Returns soon after stopping() says so.
  std::function<void(const soak_worker&)> work;
  /// Whichever is reached first.
  milliseconds duration{2000};
  std::uint64_t max_kills = std::numeric_limits<std::uint64_t>::max();
  /// Between two kills: 0 to this.
  std::chrono::microseconds longest_pause{2000};
  /// Called in the parent, again and again: "kill worker `index` now".
  std::function<bool(unsigned index)> aim = nullptr;
  double aimed_share = 0.5;
  milliseconds aim_limit{20};
  /// Counts the workers' work. It must change between two kills, within the limit of all waits;
  /// otherwise the soak fails with the text of `standing`.
  std::function<std::uint64_t()> progress = nullptr;
  std::function<std::string()> standing = nullptr;
  /// In the parent, right before the victim is killed.
  std::function<void(unsigned index, pid_t pid)> before_kill = nullptr;
  /// In the parent, when the victim is dead and reaped and its successor not yet forked.
  std::function<void(unsigned index, pid_t pid)> after_kill = nullptr;
  std::uint64_t seed = 0;  // 0: from the environment, or a random one
};

struct soak_result {
  std::uint64_t seed = 0;
  std::uint64_t kills = 0;
  std::uint64_t aimed = 0;   // those at a moment that `aim` chose
  std::uint64_t missed = 0;  // aims abandoned after aim_limit; the victim was killed anyway
  milliseconds elapsed{0};
  std::string describe() const;
};

/// A worker that ends by itself fails the test and ends the soak; so does a soak without a kill.
soak_result soak(const soak_plan& plan);

}  // namespace outlive::testing
