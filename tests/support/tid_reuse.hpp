// A new process with a chosen thread id: the kernel's reuse of a dead owner's TID, without 32,768
// forks.
//
//   if (auto why = tid_choice_unavailable()) GTEST_SKIP() << *why;
//   child stranger("stranger", body, with_tid(dead_tid));
//
// clone3 bypasses glibc, which keeps the TID for robust mutexes in the thread's own block. The
// kernel writes the new TID there (its address is the one that the kernel clears at a thread's
// end), and the child registers the robust list again, which no child inherits. pthread_atfork
// handlers do not run.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "support/child.hpp"

namespace outlive::testing {

/// Why a TID cannot be chosen here (it needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE); nothing if
/// it can.
std::optional<std::string> tid_choice_unavailable();

/// As fork(), errno included: EEXIST if the TID is in use, EPERM without the capability. The
/// calling thread must hold no robust mutex.
pid_t fork_with_tid(pid_t tid);

/// A child whose process and main thread have this id.
child::options with_tid(pid_t tid);

}  // namespace outlive::testing
