// Processes of the explorer: forked, waited for within a limit, and never left behind.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace outlive::killtest::detail {

// How a process ended.
struct process_end {
  bool in_time = true;  // false: it was killed when the limit was over
  int status = 0;       // as waitpid() gives it
  [[nodiscard]] bool exited(int code) const noexcept;
  [[nodiscard]] bool threw() const noexcept;  // one of start_process(), out of its body
  [[nodiscard]] bool signalled() const noexcept;
  [[nodiscard]] int signal() const noexcept;
};
// "ended by signal 11 (Segmentation fault)", "exited with 3", "was not done in time".
[[nodiscard]] std::string to_string(const process_end& end);

// Forks, and runs `body` in the child, which dies with its parent, writes no core dump, and ends
// without running anybody's exit handlers. What `body` throws ends it, and is written into
// `failure`, if that is not nullptr: memory of failure_bytes that both share. Throws
// std::system_error.
inline constexpr std::size_t failure_bytes = 1024;
[[nodiscard]] pid_t start_process(const std::function<void()>& body, char* failure = nullptr);
// Until it has ended; it is killed when the limit is over. Throws std::system_error.
[[nodiscard]] process_end wait_for(pid_t pid, std::chrono::milliseconds limit);
// Whether it has ended; then `end` tells how. Throws std::system_error.
[[nodiscard]] bool has_ended(pid_t pid, process_end& end);

// The calling process gets a SIGKILL after this time, asleep or stopped. This bounds waits that
// take no timeout: that for a traced process to stop. Throws std::system_error.
void die_after(std::chrono::milliseconds limit);

// The calling thread, and what it forks, stays on one CPU meanwhile. Two processes that take turns
// wake each other several times faster there than from one CPU to the other, and do not disturb
// anybody by spinning.
class on_one_cpu {
 public:
  on_one_cpu() noexcept;
  ~on_one_cpu();
  on_one_cpu(const on_one_cpu&) = delete;
  on_one_cpu& operator=(const on_one_cpu&) = delete;

 private:
  cpu_set_t before_;
  bool pinned_ = false;
};

// A descriptor that is kept must not be 0 to 2: where a program has closed its standard error, its
// messages would go into the file behind it.
// Returns: `fd`, or one above those in its place, closed on exec; -1, with errno, if `fd` is
//   negative or there is none.
[[nodiscard]] int above_standard(int fd) noexcept;

// Memory that this process shares with those that it forks, zeroed. Throws std::system_error.
[[nodiscard]] void* map_shared(std::size_t size);
void unmap_shared(void* memory, std::size_t size) noexcept;

// For what a child throws.
class shared_text {
 public:
  shared_text() : text_(static_cast<char*>(map_shared(failure_bytes))) {}
  shared_text(const shared_text&) = delete;
  shared_text& operator=(const shared_text&) = delete;
  ~shared_text() { unmap_shared(text_, failure_bytes); }
  [[nodiscard]] char* text() const noexcept { return text_; }

 private:
  char* text_;
};

}  // namespace outlive::killtest::detail
