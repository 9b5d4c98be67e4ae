// The heir's path: makes a mutex consistent that was just acquired natively, whatever its former
// owner left. Every way of acquiring goes through it except the fast path, which hands over what it
// finds inconsistent: lock(), try_lock(), the timed forms, recover(), and threads that look for a
// free record.
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
  // It enters: the state names it.
  enter,
  // It keeps the native mutex without entering. If it dies then, its heir finds {0, consistent} and
  // repairs nothing.
  keep,
  // It releases the mutex, and the entry is gone.
  release,
};

// Makes the mutex consistent, by a repair if one is due. On any error the calling thread has
// released the mutex, and the entry is gone. Ends the thread when the repair does.
outcome make_consistent(const native_hold& at, once_consistent then);

// Makes the mutex consistent by `callback` instead of a repair, in whatever condition it is, and
// releases it. Leaves a consistent mutex as it is; then `repaired` is false. Ends the thread when
// the callback does.
outcome rebuild(const native_hold& at, const repair_callback& callback);

// Releases the native part, and removes the entry.
void release_natively(const native_hold& at) noexcept;

}  // namespace outlive::detail
