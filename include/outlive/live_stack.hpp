// live_stack: the stack of a thread of another process, now. Of liboutlive-crash.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <outlive/export.hpp>
#include <outlive/thread_stack.hpp>

namespace outlive {

// Stops the thread for some milliseconds (ptrace), reads its stack, at most 64 frames, and lets it
// go on as it was: a system call that it is in goes on, a signal that comes meanwhile is delivered,
// a stopped thread stays stopped. The thread's process must be another one.
// Returns: the stack; or none, and in `problem` why: no permission (another user,
// kernel.yama.ptrace_scope), gone, traced by a debugger already, one that does not stop within a
// second (in an uninterruptible wait), libunwind is not installed.
// Throws: std::bad_alloc, std::system_error (no thread to trace from).
// Blocks: for about a second at most.
[[nodiscard]] OUTLIVE_API thread_stack live_stack(pid_t tid);

}  // namespace outlive
