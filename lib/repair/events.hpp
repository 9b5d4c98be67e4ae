// The handler of outlive::on_event(). Handlers are never freed: another thread may be in one.
#pragma once

#include <outlive/event.hpp>

namespace outlive::detail {

// One load: whether anybody wants to be told.
[[nodiscard]] bool has_event_handler() noexcept;
void tell_event(const event& what) noexcept;

}  // namespace outlive::detail
