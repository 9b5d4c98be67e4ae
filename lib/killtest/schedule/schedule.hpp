// schedule: who runs, how far, and who dies: all that distinguishes one run from another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "killtest/schedule/turns.hpp"

namespace outlive::killtest::detail {

// The thread runs up to its point number `until`; or until it waits, yields or ends. There it dies,
// or it stops. A thread that waits may die, too; its `until` is to_its_end.
struct schedule_step {
  std::uint8_t thread = 0;
  bool dies = false;
  std::uint32_t until = to_its_end;
  bool operator==(const schedule_step&) const = default;
};

// After its last step, threads go on as they do by default: who runs, runs until it waits, yields
// or ends; then the next one that can run does.
using schedule = std::vector<schedule_step>;

// "0@57 1 0@60! 2": thread 0 up to its point 57, thread 1 until it waits or ends, thread 0 up to
// its point 60, where it dies ...
[[nodiscard]] std::string text_of(const schedule& all);
// Throws std::invalid_argument, which shows the text.
[[nodiscard]] schedule schedule_from(std::string_view text);

}  // namespace outlive::killtest::detail
