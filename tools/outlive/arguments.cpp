#include "arguments.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>

namespace {

double nanoseconds_of(std::string_view unit) {
  if (unit == "us") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  if (unit == "m") return 60e9;
  if (unit == "h") return 3600e9;
  return 0;
}

}  // namespace

std::chrono::nanoseconds parse_duration(std::string_view text) {
  constexpr double longest = 1000 * 3600e9;
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const double unit = nanoseconds_of(text.substr(static_cast<std::size_t>(end - text.data())));
  const bool unit_is_needless = number == 0 && end == text.data() + text.size();
  if (error != std::errc{} || !(unit > 0 || unit_is_needless) || !std::isfinite(number) ||
      number < 0 || number * unit > longest) {
    throw std::invalid_argument(
        "found '" + std::string(text) +
        "', expected a number with a unit (us, ms, s, m or h), at most 1000h, for example 30s");
  }
  return std::chrono::nanoseconds(static_cast<std::int64_t>(number * unit));
}

CLI::Option* add_duration_option(CLI::App& command, const char* name,
                                 std::chrono::nanoseconds& value, const char* help) {
  const auto parse = [&value](const std::string& text) {
    try {
      value = parse_duration(text);
    } catch (const std::invalid_argument& error) {
      throw CLI::ValidationError(error.what());
    }
  };
  return command.add_option_function<std::string>(name, parse, help)->type_name("TIME");
}
