// step_scout: logs each store that a forked process makes to the segment, from outside.
//
// ptrace executes one instruction after the other, and the segment is compared after each. This is
// thousands of times slower than write faults. But it sees what a system call writes into the
// segment, and it leaves the victim's signal handlers alone. It records only the instruction, not
// the stack.
#pragma once

#include <chrono>
#include <string>

#include <outlive/segment.hpp>

#include "killtest/stores/run_code.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/workload.hpp"

namespace outlive::killtest::detail {

// Why this process may not trace its children; nullptr if it may.
[[nodiscard]] const char* why_no_single_steps();

// Where the process is killed: after so many stores of the tested part, as soon as it has these
// robust locks.
struct step_kill {
  std::size_t stores = 0;
  held_locks held;
};

// Forks a process that runs `what` on the file `fd`, which is mapped at `bytes`, too. Logs it, and
// kills it at `kill`, if that is not nullptr. The process is killed after `limit`, its sleep
// included. `fault`: why the log cannot be used, or that the process was not killed; empty if all
// went well.
// `seen`, if that is not nullptr, gets the addresses of what it executes; a mutex that it had at
// the begin does not count.
// Returns: the process id.
// Throws: std::system_error; the process is gone then, too.
[[nodiscard]] int step_through(store_log& log, segment& seg, int fd, const char* bytes,
                               const workload& what, const step_kill* kill,
                               std::chrono::milliseconds limit, std::string& fault,
                               run_code* seen = nullptr);

}  // namespace outlive::killtest::detail
