#include "output.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <system_error>

#include <fmt/format.h>

namespace {

bool is_continuation(char byte) noexcept {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

// Bytes of the UTF-8 character that begins here; 0 if none does, or it is a control character.
std::size_t character_at(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x20 || lead == 0x7f) return 0;
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xf0 && lead < 0xf5 ? 4
                           : lead >= 0xe0              ? 3
                           : lead >= 0xc2              ? 2
                                                       : 0;
  if (lead >= 0xf5 || size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if (!is_continuation(text[i])) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  // C1: control characters of eight bits
  if (lead == 0xc2 && second < 0xa0) return 0;
  // longer than necessary, a half of a pair of UTF-16, or beyond the last character
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ||
      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90))
    return 0;
  // direction marks, odd spaces and the byte order mark among them
  if (lead == 0xe2 && (second == 0x80 || second == 0x81)) return 0;
  if (text.starts_with("\xd8\x9c") || text.starts_with("\xef\xbb\xbf")) return 0;
  return size;
}

struct character {
  std::size_t bytes = 1;
  std::size_t cells = 1;  // of a terminal: 2 of a Chinese character, 0 of an accent that is added
};

// wcwidth() knows the widths if the locale's characters are Unicode. Numbers, dates and messages
// stay those of the C locale.
bool use_unicode_widths() noexcept {
  return std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr;
}

// Removes the first character from the text. Bytes that are no UTF-8 count one each.
character next_of(std::string_view& text) noexcept {
  static const bool has_widths = use_unicode_widths();
  character found;
  const auto lead = static_cast<unsigned char>(text[0]);
  while (lead >= 0xc0 && found.bytes < text.size() && is_continuation(text[found.bytes]))
    ++found.bytes;
  if (has_widths && found.bytes > 1) {
    auto code = static_cast<wchar_t>(lead & (0x7f >> found.bytes));
    for (std::size_t i = 1; i < found.bytes; ++i)
      code = static_cast<wchar_t>(code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f));
    if (const int cells = ::wcwidth(code); cells >= 0)
      found.cells = static_cast<std::size_t>(cells);
  }
  text.remove_prefix(found.bytes);
  return found;
}

bool is_set(const char* variable) noexcept {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != 0;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string made;
  while (!text.empty()) {
    const std::size_t size = character_at(text);
    if (size == 0) made += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    made += text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return made;
}

std::size_t width_of(std::string_view text) noexcept {
  std::size_t cells = 0;
  while (!text.empty()) cells += next_of(text).cells;
  return cells;
}

std::string cut_to(std::string_view text, std::size_t width) {
  if (width_of(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::string_view rest = text;
  std::size_t end = 0;
  for (std::size_t cells = 0;;) {
    const character each = next_of(rest);
    cells += each.cells;
    if (cells >= width) break;  // the last cell is for ~
    end += each.bytes;
  }
  return std::string(text.substr(0, end)) + '~';
}

std::string cut_front_to(std::string_view text, std::size_t width) {
  std::size_t cells = width_of(text);
  if (cells <= width) return std::string(text);
  if (width == 0) return {};
  while (cells >= width) cells -= next_of(text).cells;
  return '~' + std::string(text);
}

std::vector<std::string> wrapped_to(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (width_of(text) > width) {
    std::size_t end = 0, space = 0;
    std::string_view rest = text;
    for (std::size_t cells = 0;;) {
      if (rest[0] == ' ') space = end;
      const character each = next_of(rest);
      cells += each.cells;
      if (cells > width) {
        // A character that is wider than the line is not shown less for that.
        if (end == 0) end = each.bytes;
        break;
      }
      end += each.bytes;
    }
    if (space == 0) space = end;
    lines.emplace_back(text.substr(0, space));
    text.remove_prefix(space);
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  lines.emplace_back(text);
  return lines;
}

std::string hex(std::uint64_t value) {
  return fmt::format("0x{:x}", value);
}

std::string duration_text(std::chrono::nanoseconds time) {
  struct unit {
    const char* name;
    double length;
  };
  constexpr unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  constexpr double most = 999.95;  // above it, 1000.0 of a unit would be shown
  const unit* chosen = units;
  const auto count = static_cast<double>(time.count());
  for (const unit& each : units) {
    chosen = &each;
    if (count / each.length < most) break;
  }
  return fmt::format("{:.{}f} {}", count / chosen->length, chosen == units ? 0 : 1, chosen->name);
}

std::string counted(std::uint64_t number, std::string_view one, std::string_view several) {
  if (number == 1) return fmt::format("1 {}", one);
  return several.empty() ? fmt::format("{} {}s", number, one)
                         : fmt::format("{} {}", number, several);
}

namespace {

terminal terminal_of(int fd) noexcept {
  terminal found;
  found.is_one = ::isatty(fd) != 0;
  if (!found.is_one) return found;
  const char* const kind = std::getenv("TERM");
  found.colours =
      !is_set("NO_COLOR") && kind != nullptr && std::string_view(kind) != "dumb" && *kind != 0;
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col != 0) found.width = size.ws_col;
    if (size.ws_row != 0) found.height = size.ws_row;
  }
  return found;
}

}  // namespace

terminal terminal::of_stdout() noexcept {
  return terminal_of(STDOUT_FILENO);
}

terminal terminal::of_stderr() noexcept {
  return terminal_of(STDERR_FILENO);
}

std::string indented(std::string_view text, std::size_t spaces, const terminal& on) {
  constexpr std::size_t deeper = 4;
  std::string before(spaces, ' ');
  if (!on.is_one || on.width < 40) return before + std::string(text) + "\n";
  std::string made;
  for (const std::string& part : wrapped_to(text, on.width - spaces - deeper)) {
    made += before + part + "\n";
    before.assign(spaces + deeper, ' ');
  }
  return made;
}

std::string coloured(std::string_view text, tone which, const terminal& on) {
  if (!on.colours || which == tone::plain || text.empty()) return std::string(text);
  const char* code = "2";
  if (which == tone::good) code = "32";
  if (which == tone::warning) code = "33";
  if (which == tone::bad) code = "31";
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void print_message(std::string_view text) {
  fmt::print(stderr, "{}\n", printable(text));
}

void write_result(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return;
  throw std::system_error(errno, std::generic_category(), "writing the result");
}
