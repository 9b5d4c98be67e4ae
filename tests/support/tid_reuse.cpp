#include "support/tid_reuse.hpp"

#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace outlive::testing {
namespace {

struct robust_head {
  robust_head* next;
  long offset;
  void* pending;
};

}  // namespace

pid_t fork_with_tid(pid_t tid) {
  int* kept_tid = nullptr;
  if (prctl(PR_GET_TID_ADDRESS, &kept_tid, 0, 0, 0) != 0) return -1;
  if (kept_tid == nullptr || *kept_tid != gettid())
    throw std::logic_error("the C library keeps its TID elsewhere");
  robust_head* head = nullptr;
  std::size_t length = 0;
  if (syscall(SYS_get_robust_list, 0, &head, &length) != 0) return -1;
  if (head->next != head)
    throw std::logic_error("fork_with_tid by a thread that holds robust mutexes");

  clone_args how{};
  how.flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  how.child_tid = reinterpret_cast<std::uintptr_t>(kept_tid);
  how.exit_signal = SIGCHLD;
  how.set_tid = reinterpret_cast<std::uintptr_t>(&tid);
  how.set_tid_size = 1;
  const long pid = syscall(SYS_clone3, &how, sizeof how);
  if (pid == 0) syscall(SYS_set_robust_list, head, length);
  return static_cast<pid_t>(pid);
}

child::options with_tid(pid_t tid) {
  return {.second_thread = false, .fork = [tid] { return fork_with_tid(tid); }};
}

std::optional<std::string> tid_choice_unavailable() {
  static const std::optional<std::string> reason = []() -> std::optional<std::string> {
    // A TID that was free a moment ago: that of an ended child.
    const pid_t first = fork();
    if (first == 0) _exit(0);
    waitpid(first, nullptr, 0);
    try {
      const pid_t second = fork_with_tid(first);
      if (second == 0) _exit(0);
      if (second > 0) waitpid(second, nullptr, 0);
      if (second > 0 || errno == EEXIST) return std::nullopt;
      return std::string("clone3 with a chosen TID: ") + std::strerror(errno);
    } catch (const std::logic_error& error) {
      return error.what();
    }
  }();
  return reason;
}

}  // namespace outlive::testing
