// One traced child: run it to a marker, step it, run it to a breakpoint, kill it. x86-64 only.
//
// Markers are int3 instructions in the traced code itself. A breakpoint is a debug register, or is
// written into the child's private copy of the code: neither the parent nor other children see it.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "support/child.hpp"

namespace outlive::testing {

/// Why children cannot be traced here; nothing if they can. The system is asked only once.
std::optional<std::string> tracing_unavailable();

class tracee {
 public:
  enum class stop { stepped, at_breakpoint, at_marker, asleep, ended };

  struct position {
    std::uintptr_t pc = 0;
    std::uintptr_t sp = 0;
    bool operator==(const position&) const = default;
  };

  /// To be called by the child, before any marker.
  static void trace_me();

  /// `process` runs trace_me and later reaches a marker. While the child sleeps in a system call,
  /// `on_sleep` is called every few milliseconds, so that a test can let it continue.
  tracee(child& process, std::function<void()> on_sleep, milliseconds limit);
  ~tracee();
  tracee(const tracee&) = delete;
  tracee& operator=(const tracee&) = delete;

  /// At native speed to the next marker; throws if the child ends first.
  void run_to_marker();
  /// One instruction. Returns asleep only if `stop_asleep`: then the child still sleeps in that
  /// instruction.
  stop step(bool stop_asleep = false);
  bool slept_in_last_step() const { return slept_; }
  /// At native speed to the `hits`-th time that the instruction at `address` is about to be
  /// executed.
  stop run_to(std::uintptr_t address, std::size_t hits);
  position stopped_at() const;
  /// Head, offset and pending entry of the child's robust list, as the kernel would find them now.
  using robust_list_words = std::array<std::uintptr_t, 3>;
  robust_list_words robust_list() const;
  bool at_system_call() const;
  /// Kills by SIGKILL, and reaps: on return the kernel has finished with the dead child.
  void kill();
  /// Untraced and running.
  void let_go();

 private:
  stop run_to_int3(std::uintptr_t address, std::size_t hits);
  stop resume(int request, bool stop_asleep);
  stop judge(int status);
  void set_pc(std::uintptr_t pc);

  /// SIGCHLD stays pending in the tracer until sigtimedwait fetches it: this makes a waitpid with a
  /// time limit.
  class blocked_sigchld {
   public:
    blocked_sigchld();
    ~blocked_sigchld();
    void await(milliseconds span) const;

   private:
    sigset_t only_;
    sigset_t before_;
  };

  blocked_sigchld announced_;
  child& process_;
  std::function<void()> on_sleep_;
  milliseconds limit_;
  int pending_signal_ = 0;
  bool slept_ = false;
  bool fresh_ = true;  // has not stopped yet
  bool gone_ = false;
};

}  // namespace outlive::testing
