#include "killtest/report/report_text.hpp"

#include <cerrno>
#include <fstream>
#include <ios>
#include <map>
#include <system_error>
#include <utility>

#include "sys/hex.hpp"

namespace outlive::killtest::detail {

namespace {

bool is_in_xml(char letter) noexcept {
  const auto code = static_cast<unsigned char>(letter);
  return code >= 0x20 || letter == '\n' || letter == '\t';
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string made;
  made.reserve(text.size());
  for (const char each : text) {
    switch (each) {
      case '&': made += "&amp;"; break;
      case '<': made += "&lt;"; break;
      case '>': made += "&gt;"; break;
      case '"': made += "&quot;"; break;
      case '\'': made += "&#39;"; break;
      default: made += is_in_xml(each) ? each : '?';
    }
  }
  return made;
}

void write_file(const std::string& path, std::string_view text) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.flush()) return;
  throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(),
                          path + ": the report could not be written");
}

std::string counted(std::size_t count, std::string_view what) {
  return std::to_string(count) + ' ' + std::string(what) + (count == 1 ? "" : "s");
}

std::string in_ms(std::chrono::nanoseconds time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
         " ms";
}

bool is_outlives_function(std::string_view name) noexcept {
  return name.starts_with("outlive::") && !name.starts_with("outlive::killtest::");
}

bool is_users(const frame& at) noexcept {
  return at.line != 0 && !at.function.empty() && at.file.starts_with('/') &&
         !is_outlives_function(at.function) && !at.file.starts_with("/usr/include/");
}

std::string command_for(const report& in, const crash_state& state) {
  return in.command + " --state " + outlive::detail::hex_16(state.hash);
}

std::string without_numbers(std::string_view text) {
  std::string made;
  bool in_number = false;
  for (const char each : text) {
    const bool is_digit = each >= '0' && each <= '9';
    if (!is_digit) made += each;
    if (is_digit && !in_number) made += '#';
    in_number = is_digit;
  }
  return made;
}

std::vector<failure_kind> kinds_of_failures(const report& of) {
  std::map<std::pair<verdict, std::string>, failure_kind> kinds;
  for (const crash_state& each : of.states) {
    if (each.result == verdict::ok) continue;
    ++kinds.try_emplace({each.result, without_numbers(each.what)}, failure_kind{&each, 0})
          .first->second.count;
  }
  std::vector<failure_kind> made;
  made.reserve(kinds.size());
  for (const auto& [key, kind] : kinds) made.push_back(kind);
  return made;
}

std::string death_text(const death& at, bool is_victims) {
  const std::string killed =
      is_victims         ? "killed "
      : at.alone.empty() ? "then its heir was killed "
                         : "then an heir, which recovered " + at.alone + " first, was killed ";
  if (at.store == 0) return killed + "before its first store";
  return killed + "after store " + std::to_string(at.store) +
         (at.before_next ? ", before the next" : "");
}

std::string_view last_part(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);
}

std::string place(const frame& at) {
  if (at.line != 0) return std::string(last_part(at.file)) + ":" + std::to_string(at.line);
  return outlive::detail::hex(at.address);
}

std::string quoted_for_shell(const std::string& word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string made = "'";
  for (const char each : word) made += each == '\'' ? std::string("'\\''") : std::string(1, each);
  return made + "'";
}

}  // namespace outlive::killtest::detail
