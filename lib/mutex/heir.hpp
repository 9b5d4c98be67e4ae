// The heir's path: what is to be done with a mutex that was just acquired natively, whatever its
// former owner left behind. All ways of acquiring go through it: lock(), try_lock(), the timed
// ones, recover(), and threads that look for a free record.
#pragma once

#include <cstdint>
#include <exception>
#include <system_error>

#include <outlive/repair.hpp>

#include "records/thread_slot.hpp"

namespace outlive::detail {

// A mutex whose native part the calling thread has, with an entry in its held list. `inherited`:
// its former owner died with it (EOWNERDEAD).
struct arrival {
  attachment& mine;
  lock_bytes& lock;
  std::uint64_t offset;
  bool inherited;
};

struct settled {
  std::error_code error;      // none: the mutex is consistent
  bool repaired = false;      // a repair ran and succeeded
  std::exception_ptr thrown;  // what the repair threw
};

// What the calling thread does with a mutex that is consistent.
enum class once_consistent {
  // it is inside: the state names it
  enter,
  // it keeps the native mutex, and is not inside: who comes before its own change finds {0,
  // consistent}, and repairs nothing
  keep,
  // it has given the mutex back, and the entry is gone
  leave,
};

// Makes the mutex consistent, by a repair if one is due. On any error the calling thread has given
// the mutex back, and the entry is gone. Ends the thread when the repair does.
settled settle(const arrival& at, once_consistent then);

// Makes the mutex consistent by `callback` in the place of a repair, whatever condition it is in,
// and gives it back. What is consistent is left as it is, and then `repaired` is false. Ends the
// thread when the callback does.
settled rebuild(const arrival& at, const repair_callback& callback);

}  // namespace outlive::detail
