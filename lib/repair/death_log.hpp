// The death log: a ring in the segment. An heir writes its entry before it starts the repair, and
// how it ended after.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include <outlive/death_log.hpp>

#include "repair/report.hpp"

namespace outlive::detail {

// Writes an entry. Returns its number; 0: no slot was to be had, because living threads that were
// stopped in here have all of them. Death at any store leaves the former entry, the new one, or a
// busy slot, which readers leave out and the next writer takes.
std::uint64_t log_death(mapping& map, const death_facts& facts, record_id heir,
                        death_outcome outcome) noexcept;

// Says how it ended and how long it took, unless the ring has gone round meanwhile.
void log_outcome(mapping& map, std::uint64_t number, death_outcome outcome,
                 std::chrono::nanoseconds repair_time) noexcept;

// What the log holds now, for outlive::death_log().
std::vector<logged_death> read_deaths(const mapping& map);

}  // namespace outlive::detail
