// recover: a supervisor calls it after a participant died, so that what the dead held is free
// before anybody asks for it.
//
// It does what lock() does (the same evidence, the same repairs of this process, the same attempts)
// and then releases each mutex. It is never needed for correctness, because the next lock() would
// do the same. It makes recovery prompt, and frees the thread records of the dead. It also wakes
// the threads that sleep for jobs, slots and permits, so that they look for those of the dead.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/owner_death.hpp>

namespace outlive {

class robust_mutex;
class segment;

enum class recovery_outcome {
  repaired,           // a repair was due and succeeded
  nothing_to_repair,  // the dead thread was not inside any more, or not yet
  unrepaired,         // no repair of this process, or it failed: errc in `error`
  not_recoverable,    // attempts are used up
  // A living thread holds it by now and deals with it, or one that adopts mutexes was not done in
  // time: call again.
  held_by_another,
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(recovery_outcome outcome) noexcept;

// What recover() found at one mutex, and did about it.
struct recovered_mutex {
  const robust_mutex* mutex = nullptr;
  std::string mutex_name;  // "unknown" if no object of the directory contains it
  std::string lock_class;
  pid_t pid = 0;  // of the dead thread whose record lists the mutex
  pid_t tid = 0;
  recovery_outcome outcome{};
  std::error_code error;  // why it is not repaired
  bool adopted = false;   // an orphan: the kernel had not marked it (hazard A2)
};

// Recovers all that dead threads of the segment hold, or only those of process `pid`.
// Returns: a line for each mutex that a dead thread had in hand; empty if there was none.
// Errors: errc::too_many_threads if even the records that are reserved for recovery are busy;
//   errc::in_repair if called in a repair; those of a thread's first use of a segment. A repair
//   that fails or throws is reported in its line and not thrown.
// Blocks: for the repairs, but not for mutexes that the living hold. Up to 250 ms for another
//   thread that adopts a mutex. Up to 2 s for a thread record, if all are in use and other threads
//   recover with the reserved ones.
// After fork: works in the child. On death: the next recover(), or any locker, continues where it
//   stopped.
OUTLIVE_API std::vector<recovered_mutex> recover(segment& seg);
OUTLIVE_API std::vector<recovered_mutex> recover(segment& seg, pid_t pid);

}  // namespace outlive
