// Handles of processes (pidfds): a process is watched, asked and killed through one, so that a
// number that was given to another process meanwhile is never taken for it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>

#include "sys/shared_memory.hpp"

namespace outlive::detail::process_handle {

// A handle of the process that bears the number now; whether that is the one that was meant, the
// caller finds out after this (its start time). Empty: `error` says why, ESRCH if there is none.
file_descriptor open(pid_t pid, int& error) noexcept;

// Whether the process has ended, all of its threads: then the kernel has walked their robust lists.
// A zombie has ended.
bool has_ended(int handle) noexcept;
// The same, and waits for it, at most for `limit`.
bool wait_for_end(int handle, std::chrono::milliseconds limit) noexcept;

struct process_end {
  bool by_signal;
  bool core_dumped;
  int value;  // exit code, or signal
};
// How a child of this process ended; nothing for a stranger, and for a child whose status somebody
// has taken. `reap` takes it; otherwise it stays for whoever calls wait().
std::optional<process_end> end_of_child(int handle, bool reap) noexcept;

// 0, or errno.
int send_signal(int handle, int signal) noexcept;
int kill(int handle) noexcept;

}  // namespace outlive::detail::process_handle
