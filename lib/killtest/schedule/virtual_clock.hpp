// virtual_clock: the time of a process stands still, and goes on when the scheduler says so.
//
// clock_gettime() of the C library reads the time without a system call, so no filter sees it. Its
// first instructions are replaced by a jump, in this process alone.
#pragma once

#include <cstdint>

namespace outlive::killtest::detail {

// From now on clock_gettime() adds `*elapsed`, in nanoseconds, to a fixed time, for every clock of
// the system; not for those of processes and threads.
// Throws: std::system_error, std::runtime_error.
void use_virtual_clock(const std::int64_t* elapsed);

// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds, and the latter's fixed time.
[[nodiscard]] std::int64_t virtual_realtime_ahead() noexcept;
[[nodiscard]] std::int64_t virtual_monotonic() noexcept;

}  // namespace outlive::killtest::detail
