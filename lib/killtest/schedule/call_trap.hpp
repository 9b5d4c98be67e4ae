// call_trap: stops a process at its system calls that wait, wake and sleep, before the kernel
// executes them, by a seccomp filter (SECCOMP_RET_TRAP). It needs no privileges.
//
// The handler of SIGSYS emulates the call: the scheduler knows who sleeps on which word. So nobody
// sleeps in the kernel, and no wait is timed by a clock.
#pragma once

namespace outlive::killtest::detail {

// A system call that is not trapped. Async-signal-safe. Returns: as the kernel, -errno.
long untrapped_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                    long f = 0) noexcept;

// From now on these calls of the calling thread, and of what it forks, raise SIGSYS. For good.
// Throws std::system_error.
void trap_calls();

// Why a filter cannot be installed here; nullptr if it can.
[[nodiscard]] const char* why_no_call_trap() noexcept;

}  // namespace outlive::killtest::detail
