// reset: the way out of "not recoverable", and of any other condition in which a mutex is left
// because no repair mends its data.
//
//   outlive::reset(shelf, [](shelf_data& x, const outlive::owner_death&) {
//     x = {};
//     return outlive::repaired;
//   });
//
// A supervisor, or a person with the outlive tool, decides to give up data and rebuild it. lock()
// never does that by itself.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <functional>
#include <type_traits>

#include <outlive/detail/export.hpp>
#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>

namespace outlive {

// Acquires the mutex, runs `rebuild`, and makes the mutex consistent. It leaves a consistent mutex
// alone, held or not.
// Requires: as for a repair (repair.hpp): rebuild is restartable, and does not call lock(). Its
//   argument says what is known of the death; the owner is unknown if the mutex was not
//   recoverable.
// Returns: whether rebuild ran and succeeded; false: there was nothing to rebuild.
// Errors: errc::repair_failed if it returns failed or throws, with its exception nested;
//   errc::in_use if others have the mutex for 2 s, each for a repair; errc::in_repair in a repair;
//   errc::forked_in_repair in a child that rebuild forks; errc::damaged, errc::not_in_segment,
//   std::errc::invalid_argument for an empty function, and those of a thread's first use of a
//   segment.
// After an error the mutex is unrepaired; or not recoverable, if it was so before or this was the
// last attempt (segment_options::attempts).
// Blocks: for rebuild; and for the repairs of others, at most 2 s.
// On death: in rebuild, the mutex is under repair by a dead heir: if attempts are left the next
//   locker repairs it, otherwise it is not recoverable again. Before rebuild nothing has changed;
//   after it the mutex is consistent.
OUTLIVE_API bool reset(robust_mutex& mutex, const repair_callback& rebuild);
OUTLIVE_API bool reset(robust_shared_mutex& mutex, const repair_callback& rebuild);

// The same for a guarded<T, Mutex>: rebuild(T& value, const owner_death&).
template <class T, class Mutex, class Rebuild>
requires std::is_invocable_r_v<repair_result, Rebuild&, T&, const owner_death&>
bool reset(guarded<T, Mutex>& object, Rebuild rebuild) {
  return reset(object.mutex(), [&](const owner_death& death) -> repair_result {
    return rebuild(object.unguarded(), death);
  });
}

}  // namespace outlive
