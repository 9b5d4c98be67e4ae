// Threads and what they have in hand, in the values that supervisors tell.
#pragma once

#include <functional>

#include <outlive/supervisor.hpp>

#include "mapping/mapping.hpp"
#include "supervise/hold_watch.hpp"

namespace outlive::detail {

using stack_source = std::function<thread_stack(pid_t)>;

// What a long hold is told as. `known` is false in `who` where the record has gone to another
// thread meanwhile.
hung_owner report_hung(const mapping& map, const hold_watch& holds, const long_hold& found,
                       const stack_source& stacks);
deadlock report_deadlock(const mapping& map, const cycle& found, const stack_source& stacks);

}  // namespace outlive::detail
