// Recovery of what dead threads have in hand: by recover(), and by a thread that finds no free
// record.
#pragma once

#include <pthread.h>

#include <functional>
#include <optional>

#include <outlive/detail/deadline.hpp>
#include <outlive/repair.hpp>

#include "mutex/outcome.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

// What was done at one mutex of a dead thread's record.
struct recovered_lock {
  pid_t pid;  // of the dead thread, read while the mutex still pinned its record
  pid_t tid;
  std::uint64_t offset;
  // busy: a living thread has the mutex, or its adoption is postponed
  outcome result{};
  bool adopted = false;
  // it may be an orphan, and another thread that adopts was not done in time
  bool postponed = false;
};

// Recovers all that dead threads have in hand, or those of one process; `mine` is the identity to
// do it with. Takes what is free by now and waits for nobody, but for another thread that adopts:
// for a slice in all. Once the limit is over it begins with no further mutex, if it had one.
// Returns: whether it came to the end.
bool recover_dead(attachment& mine, std::optional<pid_t> pid, const deadline& limit,
                  const std::function<void(const recovered_lock&)>& tell);

// Rebuilds what the mutex at `offset` protects, as rebuild() does. Waits for nobody.
outcome try_rebuild(attachment& mine, std::uint64_t offset, const repair_callback& callback);

// Makes unrepaired mutexes forget whose death it was, so that the records of those dead are free
// again: the last resort of a thread that finds no record (U3). Such a mutex's owner is "unknown"
// from then on.
void forget_origins(attachment& mine, const deadline& limit) noexcept;

}  // namespace outlive::detail
