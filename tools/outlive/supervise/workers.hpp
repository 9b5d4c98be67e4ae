// The workers that `outlive supervise --respawn` keeps running.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervise/log.hpp"

namespace supervise {

class worker_pool {
 public:
  using clock = std::chrono::steady_clock;

  worker_pool(std::size_t count, std::vector<std::string> command, const event_log& log)
      : command_(std::move(command)), log_(log), workers_(count) {}
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;
  // Ends those that are left.
  ~worker_pool() { end(); }

  // Called when a worker has ended and is not reaped yet: others can still read its status then.
  using before_reaping = std::function<void()>;

  // Reaps the workers that have ended, and orphans: if the tool is process 1 of a container, it is
  // the parent of all whose own parents have ended, and nobody else reaps them. Starts the
  // workers that are due, and logs what became of workers. A worker that ends soon after its start,
  // or cannot be started, is started again after a pause, which doubles each time.
  // Errors: std::system_error if not even the first one can be started, for a reason that will not
  //   pass, as a program that is not there.
  void maintain(const before_reaping& call = {});
  // When a start is due next; nothing: none is.
  [[nodiscard]] std::optional<clock::time_point> next_start() const;
  // SIGTERM to all, after five seconds SIGKILL. Blocks: until all have ended.
  void end(const before_reaping& call = {});

 private:
  struct worker {
    pid_t pid = 0;  // 0: none runs
    bool ended = false;
    clock::time_point started{};
    clock::time_point due{};
    std::chrono::milliseconds pause{0};
  };
  void reap_ended(worker& which);
  void reap_orphans(const before_reaping& call) const;
  void try_to_start(worker& which);
  // Returns: when it is due, in words.
  static std::string pause(worker& which);

  std::vector<std::string> command_;
  const event_log& log_;
  std::vector<worker> workers_;
  bool has_started_one_ = false;
};

}  // namespace supervise
