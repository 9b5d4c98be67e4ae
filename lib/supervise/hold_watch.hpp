// hold_watch: which thread has what for how long, and which waits for which: mutexes, shared holds
// and permits by samples of the thread records, jobs and permits by looks at their words.
//
// hold_times says how long a mutex has been held. A thread that is stopped in the few instructions
// between an acquisition and its count can seem to have held what it has just acquired again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include <outlive/segment_view.hpp>

#include "mapping/mapping.hpp"
#include "records/thread_records.hpp"
#include "supervise/companion_watch.hpp"

namespace outlive::detail {

struct long_hold {
  seen_hold seen;
  std::chrono::nanoseconds at_least{};
};

// Each thread waits for what the next one has, the last one for what the first has. Begins with the
// lowest record.
using cycle = std::vector<seen_hold>;

class hold_watch {
 public:
  using time_point = hold_times::time_point;
  hold_watch(const segment& seg, const mapping& map)
      : map_(map), companions_(seg, map), waits_(map.record_count()) {}

  // Errors: those of segment_view, if queues and permits cannot be read. Then mutexes and shared
  //   holds were sampled all the same, and it is as if nobody had a job or a permit.
  void sample(time_point now);

  // Holds of at least that age, each once.
  std::vector<long_hold> new_long_holds(std::chrono::nanoseconds threshold);
  // Cycles that the last two samples had, each once.
  std::vector<cycle> new_deadlocks();

  // The threads that waited for what lies at the offset, at the last sample.
  [[nodiscard]] std::vector<hold_times::hold> waiters_for(std::uint64_t offset) const;
  // Whether the thread of that record and generation lives and still has what was reported.
  [[nodiscard]] bool still_holds(std::uint32_t index, std::uint64_t generation,
                                 std::uint64_t offset, held_kind kind) const;

 private:
  struct waiting {
    seen_hold for_what;             // of the record's thread
    std::vector<std::uint32_t> on;  // records of those who have it; empty: it does not wait
    bool for_any = false;           // it goes on as soon as any of them lets go, not all
    bool may_go_on = false;         // one of them need not be the one that has it
  };
  void sample(std::uint32_t index);
  void sample_entry(std::uint32_t index, const thread_records::life& life, std::uint64_t offset,
                    std::size_t first);
  void sample_marks(std::uint32_t index, std::uint64_t generation);
  void find_who_is_waited_for(waiting& waits, std::uint32_t index, const lock_bytes& lock,
                              bool shared) const;
  [[nodiscard]] std::vector<bool> find_stuck() const;
  [[nodiscard]] std::vector<cycle> find_cycles() const;

  const mapping& map_;
  companion_watch companions_;
  hold_times times_;
  std::vector<seen_hold> holds_;  // of the last sample; mutexes by record, in order of acquisition
  std::set<seen_hold> reported_holds_;
  std::vector<waiting> waits_;  // by record
  std::vector<cycle> cycles_;   // of the last sample
  std::vector<cycle> reported_cycles_;
};

}  // namespace outlive::detail
