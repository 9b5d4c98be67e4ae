// Recovery of the mutexes that dead threads hold: by recover(), by supervisors, and by a thread
// that finds no free record.
#pragma once

#include <pthread.h>

#include <functional>
#include <optional>

#include <outlive/detail/deadline.hpp>
#include <outlive/repair.hpp>

#include "mutex/outcome.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

// What was done with one mutex of a dead thread's record.
struct recovered_lock {
  pid_t pid;  // of the dead thread, read while the mutex still pinned its record
  pid_t tid;
  std::uint64_t offset;
  // Busy: a living thread has the mutex, or its adoption was postponed.
  outcome result{};
  bool adopted = false;
  // It may be an orphan, and another thread that adopts did not finish in time.
  bool postponed = false;
};

// Recovers the mutexes that dead threads hold, or those of one process. `mine` is the calling
// thread's attachment. It acquires what is free, and waits only for other threads that adopt: for a
// slice in all. When the limit is over it starts with no further mutex, except the first. Calls
// report() for each.
// Returns: whether it reached the end.
bool recover_dead(attachment& mine, std::optional<pid_t> pid, const deadline& limit,
                  const std::function<void(const recovered_lock&)>& report);

// Rebuilds what the mutex at `offset` protects, as rebuild() does. Never waits.
outcome try_rebuild(attachment& mine, std::uint64_t offset, const repair_callback& callback);

// Makes unrepaired mutexes forget who died, so that the records of those threads are free again.
// This is the last resort of a thread that finds no record (U3). The owner of such a mutex is
// "unknown" from then on.
void forget_origins(attachment& mine, const deadline& limit) noexcept;

}  // namespace outlive::detail
