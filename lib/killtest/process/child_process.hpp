// Child processes: forked, waited for within a limit, and never left behind. And what they need:
// one CPU for those that take turns, descriptors above the standard ones, shared memory.
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
  bool in_time = true;  // false: the limit was over, and it was killed
  int status = 0;       // of waitpid()
  [[nodiscard]] bool exited(int code) const noexcept;
  [[nodiscard]] bool threw() const noexcept;  // out of the body of start_process()
  [[nodiscard]] bool signalled() const noexcept;
  [[nodiscard]] int signal() const noexcept;
};
// "ended by signal 11 (Segmentation fault)", "exited with 3", "was not done in time", or "threw: "
// and `failure`, which may be nullptr.
[[nodiscard]] std::string to_string(const process_end& end, const char* failure = nullptr);

// Forks, and runs `body` in the child. The child dies with its parent, writes no core dump, and
// ends without running exit handlers. An exception from `body` ends it; its text is written into
// `failure`, if that is not nullptr: shared memory of failure_bytes. Throws std::system_error.
inline constexpr std::size_t failure_bytes = 1024;
[[nodiscard]] pid_t start_process(const std::function<void()>& body, char* failure = nullptr);
// Whether a process that takes longer than its limit is hung, or only waits for a processor on a
// loaded machine. It is hung when it has used the limit of processor time since then; when several
// looks in a row find it asleep and find no work; or after ten times the limit, without the time
// for which it was ready to run and others had the processors.
class hang_watch {
 public:
  static constexpr std::chrono::milliseconds look_again{20};

  hang_watch(pid_t pid, std::chrono::milliseconds limit) noexcept;
  // Call it every `look_again` or so. Always false within the limit.
  [[nodiscard]] bool is_hung() noexcept;

 private:
  pid_t pid_;
  std::chrono::milliseconds limit_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::chrono::nanoseconds used_before_;
  std::chrono::nanoseconds queued_before_;
  std::chrono::nanoseconds used_{};  // at the last look
  int asleep_ = 0;                   // looks in a row
};
// Waits until the process has ended. Kills it when it is hung. Throws std::system_error.
[[nodiscard]] process_end wait_for(pid_t pid, std::chrono::milliseconds limit);
// Kills the process, and waits for its end.
void end_process(pid_t pid) noexcept;
// Whether the process has ended. If so, `end` says how. Throws std::system_error.
[[nodiscard]] bool has_ended(pid_t pid, process_end& end);

// Waits until `fd` can be read, or all copies of its other end are closed. Returns: whether that
// came within the limit.
[[nodiscard]] bool wait_readable(int fd, std::chrono::milliseconds limit) noexcept;

// After this time the calling process gets a SIGKILL, even if it sleeps or is stopped. This bounds
// waits that take no timeout, such as the wait for a traced process to stop. Throws
// std::system_error.
void die_after(std::chrono::milliseconds limit);

// While this lives, the calling thread and the processes that it forks stay on one CPU. Two
// processes that take turns wake each other several times faster there than across CPUs, and their
// spinning disturbs nobody.
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

// Moves a descriptor above 2. If a program has closed its standard error, a descriptor that is kept
// could become 2, and messages would go into the file behind it.
// Returns: `fd`, or a duplicate above 2 in its place, closed on exec; -1, with errno, if `fd` is
//   negative or there is none.
[[nodiscard]] int above_standard(int fd) noexcept;

// Zeroed memory that this process shares with the processes that it forks. Throws
// std::system_error.
[[nodiscard]] void* map_shared(std::size_t size);
void unmap_shared(void* memory, std::size_t size) noexcept;

// Room for the text of what a child throws.
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
