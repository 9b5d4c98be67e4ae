// Work queues and permit pools, read from outside: nothing is stored, and every byte may be damaged
// or changing.
#pragma once

#include <cstdint>
#include <optional>

#include <outlive/segment_view.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// Describe what is at the offset, without its object. `room`: how many bytes the object has from
// there on. Return: nothing if there is none.
std::optional<viewed_queue> view_queue(const mapping& map, std::uint64_t offset,
                                       std::uint64_t room);
std::optional<viewed_permit_pool> view_permit_pool(const mapping& map, std::uint64_t offset,
                                                   std::uint64_t room);

}  // namespace outlive::detail
