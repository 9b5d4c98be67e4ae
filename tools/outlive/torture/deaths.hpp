// Deaths that are not recovered yet: the mutexes that a worker held when it was killed, watched
// until an heir has repaired them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
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

// Counts the entries of the segment's death log by their outcome. It is a ring, so read it before
// it wraps around.
class log_counter {
 public:
  // Ignores the entries that are there already.
  explicit log_counter(const outlive::segment& segment);
  void read();
  void count(statistics& stats) const;

 private:
  const outlive::segment& segment_;
  std::uint64_t before_ = 0;  // entries up to this one are not ours
  std::uint64_t seen_ = 0;
  std::uint64_t last_ = 0;
  std::set<std::uint64_t> running_;   // "repairing" when they were last seen
  std::set<std::uint64_t> finished_;  // counted already, and still in the ring
  std::map<outlive::death_outcome, std::uint64_t> ended_;
};

}  // namespace torture
