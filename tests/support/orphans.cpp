#include "support/orphans.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <system_error>

#include "support/death.hpp"
#include "support/foreign_locks.hpp"

namespace outlive::testing {
namespace {

constexpr std::size_t page_size = 4096;

/// Ends the helper process, which can report a failure in no other way.
[[noreturn]] void helper_fails(const char* what) {
  std::perror(what);
  _exit(1);
}

[[noreturn]] void kill_self() {
  kill(getpid(), SIGKILL);
  _exit(127);
}

/// A foreign robust mutex in a mapping of its own, locked last: the first that the kernel comes to.
pthread_mutex_t* lock_newest_foreign() {
  void* place = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) throw std::bad_alloc();
  auto* mutex = static_cast<pthread_mutex_t*>(place);
  init_robust(mutex);
  pthread_mutex_lock(mutex);
  return mutex;
}

/// Runs in a process of its own: stops the victim at the start of its exit, before the kernel walks
/// its list, and removes its private memory, including the list's head.
[[noreturn]] void release_memory_of(pid_t process, pid_t thread) {
  alarm(30);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  if (pidfd < 0) helper_fails("pidfd_open");
  const auto options = static_cast<unsigned long>(PTRACE_O_TRACEEXIT);
  if (ptrace(PTRACE_SEIZE, thread, nullptr, options) != 0) helper_fails("PTRACE_SEIZE");
  kill(process, SIGKILL);
  int status = 0;
  if (waitpid(thread, &status, __WALL) != thread) helper_fails("waitpid of the victim");
  if (status >> 8 != (SIGTRAP | (PTRACE_EVENT_EXIT << 8)))
    helper_fails("no stop at the victim's exit");
  // EAGAIN: not all of it could be removed at once.
  long rc;
  do {
    rc = syscall(SYS_process_mrelease, pidfd, 0);
  } while (rc != 0 && errno == EAGAIN);
  if (rc != 0) helper_fails("process_mrelease");
  _exit(0);  // the victim then continues
}

[[noreturn]] void die_with_memory_released() {
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  const pid_t process = getpid();
  const pid_t thread = gettid();
  const pid_t helper = fork();
  if (helper < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (helper == 0) release_memory_of(process, thread);
  // Returns only if the helper has failed: it kills this process.
  waitpid(helper, nullptr, 0);
  std::fprintf(stderr, "process_mrelease: the helper failed\n");
  _exit(127);
}

[[noreturn]] void die_after_raw_fork(const std::function<void()>& acquire) {
  if (!acquire) throw std::logic_error("raw_fork needs an acquire hook");
  const pid_t parent = getpid();
  const auto pid =
      static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    alarm(30);
    acquire();
    kill_self();
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
    throw std::runtime_error("the raw fork's child ended as " + exit_status{status}.describe());
  }
  kill_self();
}

[[noreturn]] void die_by_exec(const orphan_hooks& hooks) {
  if (gettid() != getpid()) {
    if (hooks.acquire) hooks.acquire();
    exec_other_program(hooks.live_on);
  }
  if (!hooks.acquire) throw std::logic_error("exec_from_thread is not for the main thread");
  pthread_t other;
  const auto run = [](void* argument) -> void* {
    die_by_exec(*static_cast<const orphan_hooks*>(argument));
  };
  orphan_hooks copy = hooks;
  if (const int error = pthread_create(&other, nullptr, run, &copy)) {
    throw std::system_error(error, std::generic_category(), "pthread_create");
  }
  pthread_join(other, nullptr);
  _exit(127);
}

}  // namespace

std::string name_of(orphan_kind kind) {
  switch (kind) {
    case orphan_kind::too_many_held: return "too_many_held";
    case orphan_kind::unmapped: return "unmapped";
    case orphan_kind::exec_from_thread: return "exec_from_thread";
    case orphan_kind::list_unset: return "list_unset";
    case orphan_kind::process_mrelease: return "process_mrelease";
    case orphan_kind::raw_fork: return "raw_fork";
    case orphan_kind::read_only: return "read_only";
    case orphan_kind::damaged_list: return "damaged_list";
  }
  return "no orphan kind";
}

std::optional<std::string> orphan_unavailable(orphan_kind kind) {
  if (kind != orphan_kind::process_mrelease) return std::nullopt;
  // A kernel that has it complains about the descriptor.
  if (syscall(SYS_process_mrelease, -1, 0) != 0 && errno == EBADF) return std::nullopt;
  return std::string("process_mrelease: ") + std::strerror(errno);
}

void die_leaving_orphans(orphan_kind kind, const orphan_hooks& hooks) {
  if (kind == orphan_kind::raw_fork) die_after_raw_fork(hooks.acquire);
  if (kind == orphan_kind::exec_from_thread) die_by_exec(hooks);
  if (hooks.acquire) hooks.acquire();
  switch (kind) {
    case orphan_kind::too_many_held: {
      foreign_locks many;
      many.lock_all();
      kill_self();
    }
    case orphan_kind::unmapped: munmap(lock_newest_foreign(), page_size); kill_self();
    case orphan_kind::list_unset:
      if (syscall(SYS_set_robust_list, nullptr, 3 * sizeof(void*)) != 0) {
        throw std::system_error(errno, std::generic_category(), "set_robust_list");
      }
      kill_self();
    case orphan_kind::process_mrelease: die_with_memory_released();
    case orphan_kind::read_only:
      if (hooks.region.empty() ||
          mprotect(hooks.region.data(), hooks.region.size(), PROT_READ) != 0) {
        throw std::system_error(errno, std::generic_category(), "mprotect of the region");
      }
      kill_self();
    case orphan_kind::damaged_list:
      lock_newest_foreign()->__data.__list.__next =
          reinterpret_cast<__pthread_internal_list*>(std::uintptr_t{0x10});
      kill_self();
    case orphan_kind::raw_fork:
    case orphan_kind::exec_from_thread: break;
  }
  throw std::logic_error("no such orphan kind");
}

void expect_orphaned(child& owner, orphan_kind kind, bool live_on, source_line at) {
  if (kind == orphan_kind::exec_from_thread && live_on) {
    owner.wait_for_exec();
  } else if (kind == orphan_kind::exec_from_thread) {
    owner.expect_exit(0, at);
  } else {
    owner.expect_killed(SIGKILL, at);
  }
}

}  // namespace outlive::testing
