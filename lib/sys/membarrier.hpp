// The system call membarrier: makes the running threads of other processes execute a full memory
// barrier, so that they need none of their own.
//
// Command GLOBAL_EXPEDITED, Linux 4.16: membarrier(2). It reaches the processes that have
// registered; whoever calls it need not have.
#pragma once

namespace outlive::detail::membarrier {

// Whether this kernel has it, and lets this process call it: a seccomp filter may not. Never under
// ThreadSanitizer, which does not see what it orders.
bool is_allowed() noexcept;

// From its return on, barrier() of any process reaches this one's threads, and those of children
// that it forks later. False: not allowed. Once done, a call costs a load.
bool join() noexcept;

// Every thread of every process that has joined executes a full memory barrier between call and
// return, or did not run meanwhile, which comes to the same. It orders the caller's accesses, too.
// False: not allowed, and nothing is ordered.
bool barrier() noexcept;

}  // namespace outlive::detail::membarrier
