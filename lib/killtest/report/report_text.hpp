// report_text: what the writers of reports share, and reports as JSON.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/killtest/report.hpp>

namespace outlive::killtest::detail {

// As text of XML and HTML, also inside attributes. Control characters, which XML cannot hold,
// become question marks.
[[nodiscard]] std::string escaped(std::string_view text);

// Throws std::system_error, which names the file.
void write_file(const std::string& path, std::string_view text);

// "1 state", "2 states".
[[nodiscard]] std::string counted(std::size_t count, std::string_view what);

// "12 ms".
[[nodiscard]] std::string in_ms(std::chrono::nanoseconds time);

// Whether the function is outlive's own, and not a scenario's.
[[nodiscard]] bool is_outlives_function(std::string_view name) noexcept;

// Whether the frame has a source line, and is neither outlive's own nor the C library's.
[[nodiscard]] bool is_users(const frame& at) noexcept;

// The command that explores this state alone. Requires: in.command.
[[nodiscard]] std::string command_for(const report& in, const crash_state& state);

// The first state of each kind of failure, and how many states are of that kind. Causes that differ
// in numbers only are one.
struct failure_kind {
  const crash_state* first;
  std::size_t count;
};
[[nodiscard]] std::vector<failure_kind> kinds_of_failures(const report& of);

// "killed after store 12, before the next", "then its heir was killed before its first store".
[[nodiscard]] std::string death_text(const death& at, bool is_victims);

// With "#" in the place of each number.
[[nodiscard]] std::string without_numbers(std::string_view text);

// "bank.cpp:28", or the address if no line is known.
[[nodiscard]] std::string place(const frame& at);
[[nodiscard]] std::string_view last_part(std::string_view path) noexcept;

// The reports as JSON: an array with an object for each. Of the states it has only the failed ones.
[[nodiscard]] std::string to_json(std::span<const report> reports);

// A word of a shell's command line.
[[nodiscard]] std::string quoted_for_shell(const std::string& word);

}  // namespace outlive::killtest::detail
