// A thread of another process that is stopped while this lives, and then goes on as it was.
#pragma once

#include <sys/types.h>

#include <string>

namespace outlive::crash {

// Made and destroyed by one thread: the kernel has that thread for the tracer, and lets the traced
// one go at the latest when that thread ends.
class stopped_thread {
 public:
  explicit stopped_thread(pid_t tid);
  stopped_thread(const stopped_thread&) = delete;
  stopped_thread& operator=(const stopped_thread&) = delete;
  ~stopped_thread();

  // Why it is not stopped; empty if it is.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  bool wait_for_stop();

  pid_t tid_;
  bool seized_ = false;
  std::string problem_;
};

}  // namespace outlive::crash
