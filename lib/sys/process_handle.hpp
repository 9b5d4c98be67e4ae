// Handles of processes (pidfds). A process is watched, queried and killed through one, so that
// another process that reuses the number is never mistaken for it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>

#include "sys/file_descriptor.hpp"

namespace outlive::detail::process_handle {

// A handle of the process that has the number now. The caller then checks that it is the right one,
// by its start time. Empty: `error` says why, ESRCH if there is none.
file_descriptor open(pid_t pid, int& error) noexcept;

// Whether the process has ended, with all its threads. The kernel has then walked their robust
// lists. A zombie has ended.
bool has_ended(int handle) noexcept;
// The same, after waiting for at most `limit`.
bool wait_for_end(int handle, std::chrono::milliseconds limit) noexcept;

struct process_end {
  bool by_signal;
  bool core_dumped;
  int value;  // exit code, or signal
};
// How a child of this process ended. Nothing for other processes, and for a child that was reaped
// already. Without `reap` the status stays for a later wait().
std::optional<process_end> end_of_child(int handle, bool reap) noexcept;
// The same without a descriptor. Requires: the number was no other child's since.
std::optional<process_end> end_of_child_by_pid(pid_t pid, bool reap) noexcept;

// Whether it is a child of this process that was not reaped yet.
bool is_child(int handle) noexcept;

// 0, or errno.
int send_signal(int handle, int signal) noexcept;
int kill(int handle) noexcept;

}  // namespace outlive::detail::process_handle
