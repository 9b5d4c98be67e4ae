// The workers: copies of one program, each a process group of its own, so that a kill also ends
// what a worker has started.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "process.hpp"
#include "torture/settings.hpp"

namespace torture {

using clock = std::chrono::steady_clock;

struct worker {
  pid_t pid = 0;  // 0: not running; also its process group
  bool killed = false;
  bool asked_to_end = false;
  clock::time_point started;
};

// How a worker ended.
struct worker_end {
  std::size_t index;
  pid_t pid;
  int status;
  bool by_us;
  std::chrono::nanoseconds lived;
};

class worker_set {
 public:
  worker_set(const settings& wanted, signals& incoming)
      : wanted_(wanted), incoming_(incoming), workers_(wanted.workers) {}
  worker_set(const worker_set&) = delete;
  worker_set& operator=(const worker_set&) = delete;
  ~worker_set();  // kills those that are left after an error

  // Starts the worker of that index, which is not running. Errors: as start().
  void start(std::size_t index);
  // Returns: the workers that have ended since the last call; their processes are gone.
  [[nodiscard]] std::vector<worker_end> reap_ended();

  // Stops the worker and waits until all its threads are stopped. Returns: false if it has ended
  // instead, or does not stop (in a system call that nothing interrupts).
  [[nodiscard]] bool stop(std::size_t index);
  void resume(std::size_t index) const noexcept;
  void kill(std::size_t index) noexcept;
  // Stops all before it kills the first: none goes on after another's death.
  void kill_all();

  // Sends SIGTERM to all, waits for `grace`, or until the tool is asked once more to end, and kills
  // the rest. A worker that `may_end` spares gets its SIGTERM later; `may_end` is called for
  // stopped workers. Returns: how they ended.
  [[nodiscard]] std::vector<worker_end> end_all(std::chrono::nanoseconds grace,
                                                const std::function<bool(std::size_t)>& may_end);

  [[nodiscard]] const std::vector<worker>& all() const noexcept { return workers_; }
  // Returns: the worker that the thread belongs to, or to a process that it has started.
  [[nodiscard]] std::optional<std::size_t> owner_of(std::uint32_t tid) const;

 private:
  [[nodiscard]] bool any_running() const noexcept;

  const settings& wanted_;
  signals& incoming_;
  std::vector<worker> workers_;
};

}  // namespace torture
