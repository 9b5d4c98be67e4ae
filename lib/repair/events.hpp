// The handler of outlive::on_event(). Handlers are never freed: another thread may be in one.
#pragma once

#include <outlive/event.hpp>

namespace outlive::detail {

// One load.
[[nodiscard]] bool has_event_handler() noexcept;
// Defers cancellation. What the handler throws ends the process, and so does its pthread_exit().
void call_event_handler(const event& what) noexcept;

}  // namespace outlive::detail
