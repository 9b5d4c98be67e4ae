#include "support/namespaces.hpp"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

namespace outlive::testing {
namespace {

void check(bool ok, const char* what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

/// The caller ends as `pid` does.
[[noreturn]] void end_like(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  kill(getpid(), WTERMSIG(status));
  // Process 1 of the namespace survives its own signal. It reports the signal by an exit code, as a
  // shell does.
  _exit(128 + WTERMSIG(status));
}

void die_with_parent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/// What `act` says in a child of its own: 0 or an errno.
std::optional<std::string> probe(const char* what, const std::function<void()>& act) {
  const pid_t pid = fork();
  if (pid == 0) {
    try {
      act();
      _exit(0);
    } catch (const std::system_error& error) {
      _exit(error.code().value());
    }
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  return std::string(what) + ": " +
         (WIFEXITED(status) ? std::strerror(WEXITSTATUS(status)) : "the attempt was killed");
}

}  // namespace

void run_in_pid_namespace(agent& parent, const std::function<void()>& body) {
  check(unshare(CLONE_NEWPID) == 0, "unshare(CLONE_NEWPID)");
  const pid_t first = fork();
  check(first >= 0, "fork of process 1");
  if (first != 0) {
    int status = 0;
    while (waitpid(first, &status, 0) < 0 && errno == EINTR) {
    }
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 127;
    if (code > 128) kill(getpid(), code - 128);
    _exit(code);
  }
  die_with_parent();
  const pid_t second = fork();
  check(second >= 0, "fork of process 2");
  if (second != 0) end_like(second);
  die_with_parent();
  try {
    body();
  } catch (const std::exception& error) {
    parent.fail(std::string("uncaught exception in the PID namespace: ") + error.what());
  }
  _exit(parent.failed() ? child::failed_exit_code : 0);
}

void run_as_process_1(agent& parent, const std::function<void()>& body) {
  check(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0, "unshare(CLONE_NEWPID | CLONE_NEWNS)");
  const pid_t first = fork();
  check(first >= 0, "fork of process 1");
  if (first != 0) {
    int status = 0;
    while (waitpid(first, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 127);
  }
  die_with_parent();
  try {
    check(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
          "making the mounts private");
    check(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0,
          "mounting /proc");
    body();
  } catch (const std::exception& error) {
    parent.fail(std::string("uncaught exception in process 1: ") + error.what());
  }
  _exit(parent.failed() ? child::failed_exit_code : 0);
}

std::optional<std::string> mount_own_shm(const char* mount_options) {
  if (::unshare(CLONE_NEWNS) != 0)
    return std::string("unshare(CLONE_NEWNS): ") + std::strerror(errno);
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::string("private mounts: ") + std::strerror(errno);
  if (::mount("none", "/dev/shm", "tmpfs", 0, mount_options) != 0)
    return std::string("mounting a tmpfs: ") + std::strerror(errno);
  return std::nullopt;
}

void hide_processes_of_others(uid_t become) {
  check(unshare(CLONE_NEWNS) == 0, "unshare(CLONE_NEWNS)");
  check(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
        "making the mounts private");
  check(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2") == 0,
        "mounting /proc with hidepid=2");
  check(setgroups(0, nullptr) == 0, "setgroups");
  check(setresgid(become, become, become) == 0, "setresgid");
  check(setresuid(become, become, become) == 0, "setresuid");
  // A change of user takes both away.
  prctl(PR_SET_DUMPABLE, 1);
  die_with_parent();
}

std::optional<std::string> pid_namespace_unavailable() {
  static const auto reason = probe(
      "unshare(CLONE_NEWPID)", [] { check(unshare(CLONE_NEWPID) == 0, "unshare(CLONE_NEWPID)"); });
  return reason;
}

std::optional<std::string> hidepid_unavailable() {
  static const auto reason = probe("/proc with hidepid=2", [] { hide_processes_of_others(65534); });
  return reason;
}

}  // namespace outlive::testing
