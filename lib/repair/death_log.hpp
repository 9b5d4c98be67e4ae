// The death log: a ring in the segment. An heir writes an entry before it starts the repair, and
// the outcome after it.
#pragma once

#include <pthread.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <outlive/death_log.hpp>

#include "repair/report.hpp"

namespace outlive::detail {

// Writes an entry. Returns: its number; 0 if living threads that are stopped in here have all
// slots. A death at any store leaves the former entry, the new one, or a busy slot, which readers
// skip and the next writer reuses.
//
// Counts the death, too, unless it was met before: before the state says that it was met. An heir
// that dies between the two is an owner death that no state names. The next heir finds the same
// state, and its count is that of this death.
std::uint64_t log_death(mapping& map, const death_facts& facts, record_id heir,
                        death_outcome outcome) noexcept;

// Writes the outcome and the time, unless the ring has gone round meanwhile.
void log_outcome(mapping& map, std::uint64_t number, death_outcome outcome,
                 std::chrono::nanoseconds repair_time) noexcept;

// Returns: what the log holds now, for outlive::death_log(); or only the owners of one process.
std::vector<logged_death> read_deaths(const mapping& map, std::optional<pid_t> of = {});

}  // namespace outlive::detail
