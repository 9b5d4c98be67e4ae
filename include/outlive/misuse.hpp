// misuse: a guard, permit, lease or dead letter ended in another thread than the one that has what
// it holds.
//
// A mutex, a permit and a job belong to a thread. If the object that holds one ends in another
// thread of the same process, it can release nothing: all others would wait until the first thread
// ends, and no one would know why. That happens with a coroutine that goes on in another thread,
// and with a task that is given to a pool. It is a fault of the program, and is reported at the
// place where it happens. The default is to end the process, as with a joinable std::thread:
//
//   outlive: a lease of segment "bank", object "jobs" ended in pid 12 tid 14 (worker/b) started 77,
//   but pid 12 tid 13 (worker/a) started 76 has it until it ends; ...
//
// Copies of its parent's objects in a forked child are not reported. The same is true if the thread
// that had it has ended: that was a death, and others have seen it. An explicit unlock(), release()
// or done() in the wrong thread is errc::not_owner.
//
// A permit, lease or dead letter keeps which thread got it. A guard does not, because each lock
// would pay for that: whoever has the mutex when the guard ends made it, unless the guard is such a
// copy or its thread has ended. So the guards of a segment are reported except
//   - once a thread of this process has ended with a mutex of the segment;
//   - in a child that was forked while a thread of its parent had a mutex of the segment, and in
//     its children;
//   - in a child that was not made by fork(), if its parent had locked in the segment.
// A guard whose thread released the mutex itself, by mutex().unlock(), must not end in another
// thread: whoever has the mutex by then would be named.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/detail/export.hpp>
#include <outlive/thread_identity.hpp>

namespace outlive {

enum class hold_kind : std::uint8_t { guard, shared_guard, permit, lease, dead_letter };
[[nodiscard]] OUTLIVE_API std::string_view to_string(hold_kind kind) noexcept;

struct misuse {
  hold_kind kind;
  std::string segment_name;  // empty: it has no name
  std::string object_name;   // of the mutex, the pool or the queue
  thread_identity holder;    // has it, and lives; of a shared guard: one of those that have it
  thread_identity ended_in;  // the calling thread
};
// Returns: one line for people, which also says what to do.
[[nodiscard]] OUTLIVE_API std::string to_string(const misuse& what);

// Called in the thread in which the object ended. It must not throw. After it has returned, the
// program goes on; what was held stays held until its thread ends.
using misuse_handler = void (*)(const misuse& what);

// Makes it the handler of this process, in place of the default one, which writes to_string() to
// standard error and calls std::abort(). nullptr: the default one again.
// Returns: the former one; nullptr for the default one.
// After fork: the child has the same. Signal-safe: yes. Errors: none.
OUTLIVE_API misuse_handler set_misuse_handler(misuse_handler handler) noexcept;

}  // namespace outlive
