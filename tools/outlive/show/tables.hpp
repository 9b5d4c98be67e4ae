// One look at a segment, as the tables of `outlive show`.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/segment_view.hpp>

#include "looks.hpp"
#include "source_lines.hpp"
#include "table.hpp"

namespace show {

struct look {
  std::string name;
  std::uint64_t size = 0, deaths = 0;
  std::uint32_t owner = 0, objects = 0;
  std::vector<outlive::viewed_participant> participants;
  std::vector<outlive::viewed_thread> threads;
  std::vector<outlive::viewed_lock> locks;
  looks::long_holds holds;  // what was looked at before take() counts, too
  mutable source_lines sources;

  void take(const outlive::segment_view& view);
};

// Whatever state_of() can say.
inline constexpr std::array<std::string_view, 8> states{
    "free",      "held",      "owner died",      "unrepaired",
    "repairing", "heir died", "not recoverable", "damaged"};
[[nodiscard]] std::string state_of(const outlive::viewed_lock& lock);

[[nodiscard]] std::vector<column> lock_columns();

[[nodiscard]] std::string heading(const look& seen);
[[nodiscard]] nlohmann::ordered_json facts(const look& seen);
[[nodiscard]] table participant_table(const look& seen);
[[nodiscard]] table thread_table(const look& seen);
// Without `all`, those that are not plainly free.
[[nodiscard]] table lock_table(const look& seen, bool all);
// How many mutexes lock_table() leaves out.
[[nodiscard]] std::size_t plainly_free(const look& seen);

}  // namespace show
