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

namespace supervise {

class worker_pool {
 public:
  using clock = std::chrono::steady_clock;

  worker_pool(std::size_t count, std::vector<std::string> command)
      : command_(std::move(command)), workers_(count) {}

  // Called when a worker has ended and is not reaped yet: others can still read its status then.
  using before_reaping = std::function<void()>;

  // Reaps the workers that have ended, starts those that are due, and prints both. A worker that
  // ends soon after its start is restarted after a pause, which doubles each time.
  void maintain(const before_reaping& call = {});
  // When a start is due next; nothing: none is.
  [[nodiscard]] std::optional<clock::time_point> next_start() const;
  // SIGTERM to all, after the grace time SIGKILL. Blocks: until all have ended.
  void end(std::chrono::milliseconds grace, const before_reaping& call = {});

 private:
  struct worker {
    pid_t pid = 0;  // 0: none runs
    bool ended = false;
    clock::time_point started{};
    clock::time_point due{};
    std::chrono::milliseconds pause{0};
  };
  void reap_ended(worker& which);
  std::vector<std::string> command_;
  std::vector<worker> workers_;
};

}  // namespace supervise
