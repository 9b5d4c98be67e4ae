// The system call membarrier makes the running threads of other processes execute a full memory
// barrier, so that they need none of their own.
//
// The command is GLOBAL_EXPEDITED (Linux 4.16, membarrier(2)). It reaches processes that have
// registered. The caller need not have.
#pragma once

namespace outlive::detail::membarrier {

// Whether this kernel has it and lets this process call it; a seccomp filter may not. Never under
// ThreadSanitizer, which does not see what it orders.
bool is_allowed() noexcept;

// After it has returned, barrier() of any process reaches this process's threads, and those of
// children that it forks later. Returns false if that is not allowed. Later calls cost one load.
bool join() noexcept;

// Every thread of every registered process executes a full memory barrier between call and return,
// or did not run meanwhile, which has the same effect. It orders the caller's accesses, too.
// Returns false if it is not allowed; then nothing is ordered.
bool barrier() noexcept;

}  // namespace outlive::detail::membarrier
