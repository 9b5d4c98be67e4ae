// Numbers and durations as a user writes them: "30s", "1.5m", "250ms".
#pragma once

#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <system_error>

namespace CLI {
class App;
class Option;
}  // namespace CLI

// Returns: the number that the whole text is; nothing if it is none.
template <class Number>
[[nodiscard]] std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number value = 0;
  const char* const text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, value, base);
  if (error != std::errc() || end != text_end) return std::nullopt;
  return value;
}

// Returns: the duration that `text` says: a number, not negative, and one of us, ms, s, m, h; 0
//   needs no unit.
// Errors: std::invalid_argument, with what was found and what was expected.
[[nodiscard]] std::chrono::nanoseconds parse_duration(std::string_view text);

// Adds an option whose value is such a duration; another one is an error of usage.
CLI::Option* add_duration_option(CLI::App& command, const char* name,
                                 std::chrono::nanoseconds& value, const char* help);
