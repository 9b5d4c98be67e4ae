// What was read from a segment, as the tables of `outlive show`.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/segment_view.hpp>

#include "companions.hpp"
#include "source_lines.hpp"
#include "table.hpp"

namespace show {

struct snapshot {
  std::string name;
  std::uint64_t size = 0, deaths = 0, meetings = 0, pending = 0;
  std::uint32_t owner = 0, objects = 0;
  std::vector<outlive::viewed_participant> participants;
  std::vector<outlive::viewed_thread> threads;
  std::vector<outlive::viewed_lock> locks;
  companions::look companions;
  outlive::hold_times holds;
  mutable source_lines sources;

  // A first look, so that read() some time later shows what was held since.
  void look_first(const outlive::segment_view& view);
  void read(const outlive::segment_view& view);
};

// What state_of() returns; "held shared" is missing.
inline constexpr std::array<std::string_view, 8> states{
    "free",      "held",      "owner died",      "unrepaired",
    "repairing", "heir died", "not recoverable", "damaged"};
[[nodiscard]] std::string state_of(const outlive::viewed_lock& lock);

[[nodiscard]] std::vector<column> lock_columns();

[[nodiscard]] std::string heading(const snapshot& snap, const terminal& on);
[[nodiscard]] nlohmann::ordered_json summary(const snapshot& snap);
[[nodiscard]] table participant_table(const snapshot& snap);
[[nodiscard]] table thread_table(const snapshot& snap);
// Without `all`, free mutexes are left out.
[[nodiscard]] table lock_table(const snapshot& snap, bool all);
// How many mutexes lock_table() leaves out.
[[nodiscard]] std::size_t free_count(const snapshot& snap);

}  // namespace show
