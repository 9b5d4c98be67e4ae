// Reports of living threads: hung owners and deadlocks.
#pragma once

#include <functional>

#include <outlive/supervisor.hpp>

#include "mapping/mapping.hpp"
#include "supervise/hold_watch.hpp"

namespace outlive::detail {

using stack_source = std::function<thread_stack(pid_t)>;

// `who.known` is false in the report if another thread has claimed the record meanwhile.
hung_owner report_hung(const mapping& map, const hold_watch& holds, const long_hold& found,
                       const stack_source& stacks);
deadlock report_deadlock(const mapping& map, const cycle& found, const stack_source& stacks);

}  // namespace outlive::detail
