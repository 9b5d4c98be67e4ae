// Thread records and participants, read by somebody who has none of his own.
#pragma once

#include <optional>

#include <outlive/segment_view.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// Nothing for a record that is free, or that went to another thread while it was read.
std::optional<viewed_thread> view_thread(const mapping& map, std::uint32_t index);

// Nothing for a slot that no process ever took.
std::optional<viewed_participant> view_participant(const mapping& map, std::uint32_t index);

}  // namespace outlive::detail
