// report_text: what the writers of report files share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/killtest/report.hpp>

namespace outlive::killtest::detail {

// As text of XML and HTML, in attributes, too. What XML cannot hold at all (control characters)
// becomes a question mark.
[[nodiscard]] std::string escaped(std::string_view text);

// Throws std::system_error, which names the file.
void write_file(const std::string& path, std::string_view text);

// "1 state", "2 states".
[[nodiscard]] std::string counted(std::size_t count, std::string_view what);

[[nodiscard]] std::string hex(std::uint64_t value);

// "bank.cpp:28", or the address where no line is known.
[[nodiscard]] std::string place(const frame& at);
[[nodiscard]] std::string_view last_part(std::string_view path) noexcept;

// A word of a shell's command line.
[[nodiscard]] std::string quoted_for_shell(const std::string& word);

}  // namespace outlive::killtest::detail
