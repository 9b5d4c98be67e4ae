// The heir's path: what is to be done with a mutex that was just acquired natively, whatever its
// former owner left behind. All ways of acquiring go through it: lock(), try_lock(), the timed
// ones, recover(), and threads that look for a free record.
#pragma once

#include <cstdint>

#include <outlive/repair.hpp>

#include "mutex/outcome.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

// The calling thread has the native part of a mutex, and an entry in its held list.
struct native_hold {
  attachment& mine;
  lock_bytes& lock;
  std::uint64_t offset;
  bool owner_died;  // its former owner died with it: EOWNERDEAD
};

// What the calling thread does with a mutex that is consistent.
enum class once_consistent {
  // it is inside: the state names it
  enter,
  // it keeps the native mutex, and is not inside: an heir that comes before its own change finds
  // {0, consistent}, and repairs nothing
  keep,
  // it has released the mutex, and the entry is gone
  release,
};

// Makes the mutex consistent, by a repair if one is due. On any error the calling thread has
// released the mutex, and the entry is gone. Ends the thread when the repair does.
outcome make_consistent(const native_hold& at, once_consistent then);

// Makes the mutex consistent by `callback` in the place of a repair, whatever condition it is in,
// and releases it. What is consistent is left as it is, and then `repaired` is false. Ends the
// thread when the callback does.
outcome rebuild(const native_hold& at, const repair_callback& callback);

// Releases the native part, and removes the entry.
void release_natively(const native_hold& at) noexcept;

}  // namespace outlive::detail
