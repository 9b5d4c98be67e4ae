// Dead threads, as their records describe them, and the recovery of what they held.
#pragma once

#include <pthread.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include <outlive/supervisor.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

struct dead_thread_record {
  std::uint32_t index = 0;
  std::uint64_t generation = 0;
  thread_death report;
  bool pending = false;  // something is to be recovered
};

// Returns: the dead threads of the process that did not release their records. It only reads, and
// follows no damaged entry.
std::vector<dead_thread_record> find_dead_threads(const mapping& map, pid_t pid);

struct recovery {
  std::vector<recovered_mutex> lines;
  std::chrono::nanoseconds time{};
  bool postponed = false;  // retry: another thread adopts a mutex, and was not done in time
};

// Recovers what dead threads of the process held, and wakes a waiter at each of these mutexes. A
// thread that was woken and died before it had the mutex leaves the others asleep (hazard A16).
// Errors: what attaching throws, and errc::forked_in_repair in a child.
recovery recover_dead_threads(const std::shared_ptr<mapping>& map, pid_t pid,
                              const std::vector<dead_thread_record>& dead);

// Which meetings of the death log were reported.
class inheritance_watch {
 public:
  explicit inheritance_watch(const mapping& map) : map_(map) {}

  // What the log says about mutexes of the dead process, or of its thread `tid` if that is not 0,
  // that others have met. Leaves out what `recovered` has, and what was reported before: the last
  // meeting of each mutex counts.
  std::vector<inherited_mutex> find(pid_t pid, pid_t tid, std::uint64_t start_time,
                                    const std::vector<recovered_mutex>& recovered);

 private:
  const mapping& map_;
  std::set<std::uint64_t> reported_;  // numbers of entries that the log had at the last look
};

// Remembers between two sweeps which deaths were handled, by the generation of the record.
class record_watch {
 public:
  explicit record_watch(const mapping& map) : map_(map), handled_(map.record_count(), none) {}

  // Returns: the processes of dead threads whose deaths were not handled yet, each once.
  std::vector<pid_t> find_deaths();

  // Removes the deaths that were handled before, and remembers the others as handled.
  void remove_handled(std::vector<dead_thread_record>& dead);

 private:
  [[nodiscard]] bool has_died(std::uint32_t index, const thread_record& record) const noexcept;

  static constexpr std::uint64_t none = ~std::uint64_t{0};
  const mapping& map_;
  std::vector<std::uint64_t> handled_;  // by record: the generation whose death was handled
  std::uint32_t next_close_look_ = 0;
};

}  // namespace outlive::detail
