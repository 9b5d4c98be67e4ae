// Programs that the tool starts, and the signals that it waits for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <vector>

// Signals that are blocked for good and read from a descriptor: no handler interrupts anything.
class signal_queue {
 public:
  explicit signal_queue(std::initializer_list<int> which);
  signal_queue(const signal_queue&) = delete;
  signal_queue& operator=(const signal_queue&) = delete;
  ~signal_queue();

  // For poll().
  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Returns: the next signal; 0: none is there.
  [[nodiscard]] int next() const noexcept;

 private:
  int fd_ = -1;
};

// The signals that end the tool, and SIGCHLD.
class signals {
 public:
  signals();

  [[nodiscard]] int fd() const noexcept { return queue_.fd(); }
  // Blocks: until one of them comes, at most for `timeout`. Reads all that are there.
  void wait(std::chrono::nanoseconds timeout);
  // Blocks: for `time`, whatever the children do; less if the tool is asked to end.
  void pause(std::chrono::nanoseconds time);
  // Returns: which signal asked the tool to end; 0 if none did.
  [[nodiscard]] int ending() const noexcept { return ending_; }
  [[nodiscard]] int times_asked_to_end() const noexcept { return asked_; }
  // Returns: whether a child ended or stopped since the last call.
  [[nodiscard]] bool fetch_child_changed() noexcept;

 private:
  signal_queue queue_;
  int ending_ = 0;
  int asked_ = 0;
  bool child_changed_ = true;
};

// Starts a program, found along PATH, in a process group of its own, which dies with the tool. Its
// input is empty and its output goes to our stderr, because stdout carries the result. `variables`
// are added to the environment, each "NAME=value".
// Errors: std::system_error if it cannot be started.
// Blocks: until the program runs.
[[nodiscard]] pid_t start(const std::vector<std::string>& command,
                          const std::vector<std::string>& variables);

// Returns: whether the child has ended; it stays a zombie, so that its ids are not reused.
[[nodiscard]] bool has_ended(pid_t pid) noexcept;
// Returns: a child of whatever origin that has ended and is not reaped; 0: there is none.
[[nodiscard]] pid_t some_ended_child() noexcept;
// Kills what is left in the process group of a child that has ended. Returns: the child's status.
// Requires: has_ended(pid).
[[nodiscard]] int reap(pid_t pid) noexcept;

// "exit code 3", "killed by SIGSEGV"
[[nodiscard]] std::string status_text(int status);
