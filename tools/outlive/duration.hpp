// Durations as a user writes them: "30s", "1.5m", "250ms".
#pragma once

#include <chrono>
#include <string_view>

namespace CLI {
class App;
class Option;
}  // namespace CLI

// Returns: the duration that `text` says: a number, not negative, and one of us, ms, s, m, h; 0
//   needs no unit.
// Errors: std::invalid_argument, with what was found and what was expected.
[[nodiscard]] std::chrono::nanoseconds parse_duration(std::string_view text);

// Adds an option whose value is such a duration; another one is an error of usage.
CLI::Option* add_duration_option(CLI::App& command, const char* name,
                                 std::chrono::nanoseconds& value, const char* help);
