// Thread records and participants, read without having one.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <optional>
#include <vector>

#include <outlive/segment_view.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// Nothing for a record that is free, or that went to another thread while it was read.
std::optional<viewed_thread> view_thread(const mapping& map, std::uint32_t index);

// Adds what the record's thread died with and nobody has met.
void view_pending_deaths(std::vector<pending_death>& to, const mapping& map, std::uint32_t index);

// Nothing for a slot that was never used.
std::optional<viewed_participant> view_participant(const mapping& map, std::uint32_t index);

}  // namespace outlive::detail
