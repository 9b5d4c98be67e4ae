// hold_watch: who has which mutex for how long, and who waits for whom, by samples of the thread
// records.
//
// lock() and unlock() read no clock. But each acquisition is counted in the record, so a record
// whose count is the same in two samples took nothing in between, and what it held in both it held
// all the time. (A thread that is stopped in the few instructions between an acquisition and its
// count can seem to have held what it has just taken again.)
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// A record at one of its lives, and one of the mutexes in its hand.
struct hand {
  std::uint32_t index = 0;
  std::uint64_t generation = 0;
  std::uint64_t acquisitions = 0;
  std::uint64_t offset = 0;

  bool operator==(const hand&) const noexcept = default;
};

struct long_hold {
  hand of;
  std::chrono::nanoseconds at_least{};
};

// Each waits for the mutex that the next one holds, the last for one of the first's; begins with
// the lowest index.
using cycle = std::vector<hand>;

class hold_watch {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  explicit hold_watch(const mapping& map) : map_(map), records_(map.record_count()) {}

  void sample(time_point now);

  // Holds that are at least so old, each once.
  std::vector<long_hold> take_long_holds(std::chrono::nanoseconds threshold, time_point now);
  // Cycles that the last two samples had, each once.
  std::vector<cycle> take_deadlocks();

  // Who waited for the mutex at the last sample.
  [[nodiscard]] std::vector<hand> waiters_for(std::uint64_t offset) const;
  // Whether the mutex is in the hands of the living thread that had it then.
  [[nodiscard]] bool still_holds(std::uint32_t index, std::uint64_t generation,
                                 std::uint64_t offset) const noexcept;

 private:
  struct hold {
    std::uint64_t offset = 0;
    time_point since;
    bool told = false;
  };
  struct record_sample {
    std::uint64_t generation = ~std::uint64_t{0};
    std::uint64_t acquisitions = 0;
    std::vector<hold> holds;
    std::uint64_t waits_for = 0;  // offset; 0: for nothing
    std::uint32_t held_by = 0;    // index + 1
  };
  void sample(std::uint32_t index, time_point now);
  [[nodiscard]] std::vector<cycle> find_cycles() const;

  const mapping& map_;
  std::vector<record_sample> records_;
  std::vector<cycle> seen_;  // by the last sample
  std::vector<cycle> told_;
};

}  // namespace outlive::detail
