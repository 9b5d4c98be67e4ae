// A system call that is refused, as under a container's seccomp filter.
#pragma once

namespace outlive::testing {

/// The system call (SYS_...) fails with `error` from now on, in the calling process and its
/// children. To be called in a child. Throws std::system_error if no filter can be set.
void forbid_call(long number, int error);

}  // namespace outlive::testing
