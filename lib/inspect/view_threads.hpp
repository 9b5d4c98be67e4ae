// Thread records and participants, read without having one.
#pragma once

#include <optional>

#include <outlive/segment_view.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// Nothing for a record that is free, or that went to another thread while it was read.
std::optional<viewed_thread> view_thread(const mapping& map, std::uint32_t index);

// Nothing for a slot that was never used.
std::optional<viewed_participant> view_participant(const mapping& map, std::uint32_t index);

}  // namespace outlive::detail
