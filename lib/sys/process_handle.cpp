#include "sys/process_handle.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>

#include <outlive/detail/deadline.hpp>

#include "sys/no_cancellation.hpp"

#ifndef P_PIDFD
#define P_PIDFD 3  // linux/wait.h; an enumerator of glibc's since 2.36
#endif

namespace outlive::detail::process_handle {

namespace {

// poll() takes an int: longer waits need several calls.
constexpr std::chrono::milliseconds longest_poll(1'000'000);

}  // namespace

file_descriptor open(pid_t pid, int& error) noexcept {
  error = 0;
  file_descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!handle) error = pid > 0 ? errno : ESRCH;
  return handle;
}

bool has_ended(int handle) noexcept {
  return wait_for_end(handle, std::chrono::milliseconds(0));
}

bool wait_for_end(int handle, std::chrono::milliseconds limit) noexcept {
  const no_cancellation here;
  const deadline until(limit);
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until.left());
    pollfd ended{handle, POLLIN, 0};
    const auto span = std::clamp<std::int64_t>(left.count(), 0, longest_poll.count());
    const int count = ::poll(&ended, 1, static_cast<int>(span));
    if (count == 1) return (ended.revents & POLLIN) != 0;
    if (count == 0 ? left <= longest_poll : errno != EINTR) return false;
  }
}

namespace {

std::optional<process_end> end_of(idtype_t kind, id_t id, bool reap) noexcept {
  siginfo_t info{};
  const int options = WEXITED | WNOHANG | (reap ? 0 : WNOWAIT);
  const no_cancellation here;
  if (::waitid(kind, id, &info, options) != 0 || info.si_pid == 0) return std::nullopt;
  return process_end{info.si_code != CLD_EXITED, info.si_code == CLD_DUMPED, info.si_status};
}

}  // namespace

std::optional<process_end> end_of_child(int handle, bool reap) noexcept {
  return end_of(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(handle), reap);
}

std::optional<process_end> end_of_child_by_pid(pid_t pid, bool reap) noexcept {
  return end_of(P_PID, static_cast<id_t>(pid), reap);
}

bool is_child(int handle) noexcept {
  siginfo_t info{};
  const no_cancellation here;
  return ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(handle), &info,
                  WEXITED | WNOHANG | WNOWAIT) == 0;
}

int send_signal(int handle, int signal) noexcept {
  return ::syscall(SYS_pidfd_send_signal, handle, signal, nullptr, 0) == 0 ? 0 : errno;
}

int kill(int handle) noexcept {
  return send_signal(handle, SIGKILL);
}

}  // namespace outlive::detail::process_handle
