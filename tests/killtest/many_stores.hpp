// A log of 10,000 entries, all written in one critical section: as many distinct crash states.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/killtest/scenario.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {

struct entry_log {
  static constexpr std::size_t capacity = 10'000;
  std::size_t count = 0;
  std::array<long, capacity> entry = {};  // those that were written are not 0
};

[[gnu::noinline]] inline void fill(entry_log& of) {
  for (std::size_t i = 0; i < entry_log::capacity; ++i) {
    of.entry[i] = static_cast<long>(i) + 1;
    crash_barrier();
  }
  of.count = entry_log::capacity;
}

[[nodiscard]] inline std::size_t written(const entry_log& of) {
  std::size_t found = 0;
  while (found < entry_log::capacity && of.entry[found] != 0) ++found;
  return found;
}

// What was written counts.
inline repair_result count_entries(entry_log& of, const owner_death&) {
  of.count = written(of);
  return repaired;
}

// What must be found: one state of the 10,000 is repaired wrongly.
inline repair_result count_entries_but_once(entry_log& of, const owner_death&) {
  const std::size_t found = written(of);
  of.count = found == 7'777 ? found - 1 : found;
  return repaired;
}

inline std::string entries_are_in_order(const entry_log& of) {
  if (of.count != written(of))
    return std::to_string(written(of)) + " entries, and the count says " + std::to_string(of.count);
  for (std::size_t i = 0; i < of.count; ++i)
    if (of.entry[i] != static_cast<long>(i) + 1) return "entry " + std::to_string(i) + " is wrong";
  return {};
}

inline scenario many_stores_scenario(repair_result (*repair)(entry_log&,
                                                             const owner_death&) = &count_entries) {
  scenario made;
  made.name = "10,000 stores";
  made.options.size = sizeof(guarded<entry_log>) + 64 * 1024;
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<entry_log>>("log", "log"));
  };
  made.repairs = [=](segment& seg) {
    return all_of(on_owner_death<entry_log>(seg, "log", repair));
  };
  made.victim = [](segment& seg) { fill(*seg.find<guarded<entry_log>>("log")->lock()); };
  made.invariant = [](segment& seg) {
    return entries_are_in_order(*seg.find<guarded<entry_log>>("log")->lock());
  };
  return made;
}

}  // namespace outlive::killtest::testing
