// Deaths that are not recovered yet: the mutexes that a worker held when it was killed, watched
// until an heir has repaired them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

#include <outlive/death_log.hpp>

#include "torture/locks.hpp"
#include "torture/statistics.hpp"

namespace torture {

class pending_deaths {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  // Requires: the worker is stopped, and owns the lock; it is killed at `when`.
  void add(lock_view lock, std::uint32_t tid, std::uint64_t state, time_point when) {
    open_.push_back({lock, tid, state, when});
  }
  // Counts those that are recovered by now.
  void update(time_point now, statistics& stats);
  [[nodiscard]] bool empty() const noexcept { return open_.empty(); }
  // Counts the rest as open, and repairs that have run for long as problems. Requires: the workers
  // still run.
  void finish(time_point now, const lock_list& locks, statistics& stats);

 private:
  struct death {
    lock_view lock;
    std::uint32_t tid;    // the thread that was killed
    std::uint64_t state;  // of the lock then
    time_point when;
  };
  static bool is_over(const death& each, std::uint64_t state) noexcept;
  std::vector<death> open_;
};

// Counts the entries of the segment's death log by their outcome, each once. It is a ring, so read
// it before it wraps around.
class log_counter {
 public:
  // Ignores the entries that are there already.
  explicit log_counter(const outlive::segment& segment);
  void read();
  void count(statistics& stats) const;

 private:
  const outlive::segment& segment_;
  // What was last seen in a slot of the ring. Its number only grows, but not by the ring's size: a
  // heir that was killed between the number and the slot leaves the older entry there for a round
  // more. So an entry's age does not say whether it was counted.
  struct slot {
    std::uint64_t number = 0;
    bool running = false;  // "repairing"; the entry is counted when it ends
  };
  std::uint64_t before_ = 0;  // entries up to this one are not ours
  std::uint64_t seen_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t begun_ = 0;  // repairs that were seen to run, and not to end
  std::array<slot, 256> ring_{};
  std::map<outlive::death_outcome, std::uint64_t> ended_;
};

}  // namespace torture
