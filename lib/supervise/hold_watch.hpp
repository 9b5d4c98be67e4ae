// hold_watch: which thread holds which mutex for how long, and which waits for which, by samples of
// the thread records.
//
// hold_times says how long a mutex has been held. A thread that is stopped in the few instructions
// between an acquisition and its count can seem to have held what it has just acquired again.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <vector>

#include <outlive/segment_view.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// A mutex that a thread holds, or waits for.
using hold = hold_times::hold;

struct long_hold {
  hold of;
  std::chrono::nanoseconds at_least{};
};

// Each thread waits for the mutex that the next one holds, the last one for one of the first.
// Begins with the lowest record.
using cycle = std::vector<hold>;

class hold_watch {
 public:
  using time_point = hold_times::time_point;
  explicit hold_watch(const mapping& map) : map_(map), waits_(map.record_count()) {}

  void sample(time_point now);

  // Holds of at least that age, each once.
  std::vector<long_hold> new_long_holds(std::chrono::nanoseconds threshold);
  // Cycles that the last two samples had, each once.
  std::vector<cycle> new_deadlocks();

  // The threads that waited for the mutex at the last sample.
  [[nodiscard]] std::vector<hold> waiters_for(std::uint64_t offset) const;
  // Whether the thread of that record and generation lives and still holds the mutex.
  [[nodiscard]] bool still_holds(std::uint32_t index, std::uint64_t generation,
                                 std::uint64_t offset) const noexcept;

 private:
  struct waiting {
    hold for_mutex;             // of the record's thread; mutex_offset 0: it does not wait
    std::uint32_t held_by = 0;  // record + 1
  };
  void sample(std::uint32_t index);
  [[nodiscard]] std::vector<cycle> find_cycles() const;

  const mapping& map_;
  hold_times times_;
  std::vector<hold> holds_;  // of the last sample, by record, in the order of acquisition
  std::set<hold> reported_holds_;
  std::vector<waiting> waits_;  // by record
  std::vector<cycle> cycles_;   // of the last sample
  std::vector<cycle> reported_cycles_;
};

}  // namespace outlive::detail
