// The death log: the last 256 times that an owner death was met in a segment, oldest first. A death
// is met again, and has another entry, as long as it was not repaired.
//
// The thread that repairs writes the entry, so the log shows repairs that never ended, too. An
// entry is left out if its writer died while writing it.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/owner_death.hpp>
#include <outlive/thread_identity.hpp>

namespace outlive {

class segment;

enum class death_outcome : std::uint32_t {
  repairing = 1,  // the repair runs, or its heir died in it
  repaired,
  failed,           // the repair returned failed or threw
  unrepaired,       // the process that met it had no repair
  not_recoverable,  // attempts are used up
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(death_outcome outcome) noexcept;

struct logged_death {
  std::uint64_t number = 0;  // counts meetings, from 1 over the segment's life
  // An earlier entry is of the same death: it was not repaired then.
  bool met_before = false;
  std::chrono::system_clock::time_point when;
  std::string mutex_name;  // "unknown" if no object of the directory contains it
  std::string lock_class;
  std::uint64_t mutex_offset = 0;  // from the segment's base
  thread_identity owner;
  std::string acquired_at_module;
  std::uint64_t acquired_at_offset = 0;
  thread_identity heir;
  unsigned attempt = 0;  // 0 if no repair was started
  death_outcome outcome{};
  std::chrono::nanoseconds repair_time{};  // 0 if no repair was started, or none has ended
  std::optional<crash_report> crash;       // of the owner, at most 16 frames
};

// Returns: the present contents of the log. Acquires no lock. Leaves out entries that are damaged,
//   or overwritten meanwhile.
[[nodiscard]] OUTLIVE_API std::vector<logged_death> death_log(const segment& seg);

}  // namespace outlive
