// live_stack: the present stack of a thread of another process. Part of liboutlive-crash.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <outlive/detail/export.hpp>
#include <outlive/thread_stack.hpp>

namespace outlive {

// Stops the thread for some milliseconds (ptrace), reads at most 64 frames of its stack, and lets
// it continue as it was: a system call continues, a signal that arrives meanwhile is delivered, a
// stopped thread stays stopped.
// Requires: the thread belongs to another process.
// Returns: the stack; or none, and the reason in `problem`: no permission (another user,
//   kernel.yama.ptrace_scope), the thread is gone, a debugger already traces it, it does not stop
//   within a second (in an uninterruptible wait), libunwind is not installed.
// Throws: std::bad_alloc, std::system_error (no thread to trace from).
// Blocks: for about a second at most.
[[nodiscard]] OUTLIVE_API thread_stack live_stack(pid_t tid);

}  // namespace outlive
