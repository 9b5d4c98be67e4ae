// The parent: feeds the workers, kills them, and starts another one after each death.
//
// It has an outlive::supervisor, which notices each death and recovers what the dead worker held.
// The table does not need that: a worker that comes to the lock first repairs it just as well, and
// often does. The dead worker's job needs nothing at all: it comes again.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <outlive/supervisor.hpp>

#include "worker_pool/options.hpp"
#include "worker_pool/progress.hpp"
#include "worker_pool/shared.hpp"

namespace pool {

struct figures {
  std::uint64_t kills = 0;
  std::uint64_t killed_holding = 0;    // a shard's lock
  std::uint64_t killed_repairing = 0;  // heirs
  std::uint64_t repairs = 0;           // of shards, run to their end
  std::uint64_t rolled_back = 0;
  std::uint64_t rolled_forward = 0;
  std::uint64_t unanswered = 0;  // killed while holding, and no repair followed: must be 0
  std::uint32_t passes = 0;
  std::vector<std::chrono::nanoseconds> recovery_times;  // from SIGKILL to the end of the repair
};

// Thrown when SIGINT or SIGTERM came.
struct interrupted : std::runtime_error {
  interrupted() : std::runtime_error("interrupted") {}
};

class parent {
 public:
  parent(shared& all, const std::vector<std::string_view>& chunks, const options& wishes);
  ~parent();  // kills and reaps what still runs
  parent(const parent&) = delete;
  parent& operator=(const parent&) = delete;

  // Errors: interrupted; std::runtime_error for a worker that fails by itself, a repair that fails,
  //   a pool that stalls.
  figures run();

 private:
  using clock = std::chrono::steady_clock;
  struct casualty {
    unsigned number;
    pid_t pid;
    clock::time_point killed_at;
    activity last = activity::counting;  // what its seat says after its death
  };

  void start(unsigned number);
  void feed();
  [[nodiscard]] bool pass_is_done();
  void finish();

  void kill_somebody();
  [[nodiscard]] unsigned choose_victim();
  [[nodiscard]] std::optional<unsigned> watch_for(activity wanted, std::chrono::microseconds limit);
  [[nodiscard]] casualty shoot(unsigned number);
  void reap(casualty& dead);

  void check(const outlive::participant_death& death);
  void read_repair_lines();
  void note_repair(const repair_line& line);

  void wait_a_moment(std::chrono::microseconds moment);
  bool look_after(bool may_end);

  shared& all_;
  const std::vector<std::string_view>& chunks_;
  const options& wishes_;
  std::mt19937_64 dice_;
  outlive::supervisor watch_;
  progress progress_;
  figures figures_;
  std::vector<pid_t> pids_;                         // by worker number; 0: none runs
  std::vector<std::uint64_t> lines_read_;           // by shard
  std::unordered_map<pid_t, casualty> casualties_;  // whose repair has not been seen
};

}  // namespace pool
