// What the commands write: results to stdout, messages to stderr.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Returns: the text, with all bytes that could move a terminal's cursor or forge a line as \xNN:
//   names come from memory that other programs write.
[[nodiscard]] std::string printable(std::string_view text);
// Returns: how many cells of a terminal the text fills: none, one or two for each UTF-8 character.
[[nodiscard]] std::size_t width_of(std::string_view text) noexcept;
// Returns: the first cells of the text, at most `width`, with ~ as the last if something was cut.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t width);
// Returns: the last cells of the text, with ~ as the first: the end of a path says more.
[[nodiscard]] std::string cut_front_to(std::string_view text, std::size_t width);

// Returns: the text in lines of at most `width` cells, broken at spaces if there are any; at least
//   one line. Requires: width is at least 2, the widest character.
[[nodiscard]] std::vector<std::string> wrapped_to(std::string_view text, std::size_t width);

// Returns: "0x40".
[[nodiscard]] std::string hex(std::uint64_t value);
// Returns: "340 ns", "1.5 ms", "61.0 s": no time but 0 is shown as 0.
[[nodiscard]] std::string duration_text(std::chrono::nanoseconds time);
// Returns: "1 worker", "2 workers"; `several` is the plural if it is not made with an s.
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view one,
                                  std::string_view several = {});

// What stdout is. Without a terminal there are no colours, and nothing is cut.
struct terminal {
  bool is_one = false;
  bool colours = false;    // not with NO_COLOR, nor TERM=dumb
  std::size_t width = 80;  // cells of a line
  std::size_t height = 24;
  [[nodiscard]] static terminal of_stdout() noexcept;
  [[nodiscard]] static terminal of_stderr() noexcept;
};
// Returns: the text, so many spaces before it, as a line. On a terminal a long one breaks at spaces
//   and goes on four cells deeper.
[[nodiscard]] std::string indented(std::string_view text, std::size_t spaces, const terminal& on);

enum class tone { plain, dim, good, warning, bad };
[[nodiscard]] std::string coloured(std::string_view text, tone which, const terminal& on);

// Writes a line to stderr, made printable: a message often names what is in a segment.
void print_message(std::string_view text);

// Writes the result, at once. Errors: std::system_error when it cannot be written: half a result
// must not look like a whole one.
void write_result(std::string_view text);
