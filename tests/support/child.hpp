// A child process under a test's control: forked, driven in lock-step over two pipes, and never
// left behind.
//
//   child owner("owner", [&](agent& parent) {
//     m.lock();
//     parent.tell("locked");
//     parent.pause_forever();
//   });
//   owner.wait_for("locked");
//   owner.kill();
//   owner.expect_killed(SIGKILL);
//
// Every wait is bounded (default_timeout), and a failed wait names the waiter and what it waited
// for. Any fault inside the child (a failed EXPECT or ASSERT, an exception) becomes a failure of
// the parent's test. Children dump no core, because a waiter would sleep until the dump is written,
// and die with the thread that forked them. The destructor kills and reaps this process and no
// other.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <functional>
#include <string>
#include <string_view>

#include "support/bounded.hpp"
#include "support/channel.hpp"

namespace outlive::testing {

/// The result of waitpid.
struct exit_status {
  int raw = 0;

  bool exited_with(int code) const;
  bool killed_by(int signal) const;
  /// "exit 3", "killed by signal 9 (Killed)".
  std::string describe() const;
};

/// The number of children that this process found killed by SIGKILL. Printed at its end, "kills:
/// N".
std::uint64_t kills_so_far();

/// Source location of a check.
struct source_line {
  const char* file;
  int line;
  static source_line here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

/// The child's end of the pipes.
class agent {
 public:
  agent(message_pipe& to_parent, message_pipe& from_parent, std::string name)
      : to_parent_(to_parent), from_parent_(from_parent), name_(std::move(name)) {}

  void tell(std::string_view token);
  void await(std::string_view token, milliseconds limit = default_timeout());
  /// Fails the parent's test with this text; the child goes on.
  void fail(std::string_view text);
  bool failed() const { return failed_.load(); }
  [[noreturn]] void pause_forever();

 private:
  message_pipe& to_parent_;
  message_pipe& from_parent_;
  std::string name_;
  token_box arrived_;
  std::atomic<bool> failed_{false};
};

class child {
 public:
  using body = std::function<void(agent&)>;

  /// What a child exits with after a failure of its own was reported.
  static constexpr int failed_exit_code = 96;

  struct options {
    /// Run the body on a second thread; the main thread joins it and then exits.
    bool second_thread = false;
    /// Another way to fork (see tid_reuse.hpp): returns as fork() does.
    std::function<pid_t()> fork = nullptr;
  };

  child(std::string name, body run);
  child(std::string name, body run, options how);
  ~child();
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }

  /// Waits until the child has sent this token. Other tokens that arrive meanwhile are kept for
  /// later waits. Throws timed_out, or runtime_error at once if the child has ended and can never
  /// send it.
  void wait_for(std::string_view token, milliseconds limit = default_timeout());
  void tell(std::string_view token);
  /// Waits until the child's program was replaced by exec, which closes the child's pipe.
  void wait_for_exec(milliseconds limit = default_timeout());

  void kill(int signal = SIGKILL);
  /// Waits for the child's end and reaps it. Throws timed_out.
  exit_status wait(milliseconds limit = default_timeout());
  /// The child ended (it may still have to be reaped).
  bool ended() const;
  void expect_exit(int code = 0, source_line at = source_line::here());
  void expect_killed(int signal = SIGKILL, source_line at = source_line::here());

  /// For tracers, which reap by themselves: stores the status that they got.
  void note_reaped(int raw_status);

 private:
  [[noreturn]] void run_in_child(const body& run, const options& how, pid_t parent);
  void drain();
  void throw_unless_alive(const std::string& purpose);

  std::string name_;
  message_pipe to_parent_;
  message_pipe to_child_;
  token_box tokens_;
  unique_fd pidfd_;
  pid_t pid_ = -1;
  pid_t forked_by_ = -1;
  bool reaped_ = false;
  exit_status status_;
};

}  // namespace outlive::testing
