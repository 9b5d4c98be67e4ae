// A thread of another process, stopped while this object lives. Afterwards it continues as before.
#pragma once

#include <sys/types.h>

#include <string>

namespace outlive::crash {

// One thread must make and destroy it: the kernel takes that thread for the tracer, and releases
// the traced thread at the latest when the tracer ends.
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
