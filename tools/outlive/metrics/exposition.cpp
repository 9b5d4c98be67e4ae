#include "metrics/exposition.hpp"

#include <fmt/format.h>

#include "output.hpp"

namespace metrics {

namespace {

// As the format wants it in a value: a backslash, a quote and a line end are written with a
// backslash.
std::string escaped(std::string_view text) {
  std::string made;
  for (const char each : printable(text)) {
    if (each == '\\' || each == '"') made += '\\';
    made += each;
  }
  return made;
}

}  // namespace

void exposition::begin(std::string_view name, std::string_view kind, std::string_view help) {
  name_ = name;
  all_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, kind);
}

void exposition::add(double value, const labels& of) {
  std::string list;
  for (const auto& [key, text] : of)
    list += fmt::format("{}{}=\"{}\"", list.empty() ? "" : ",", key, escaped(text));
  all_ += fmt::format("{}{{{}}} {}\n", name_, list, value);
}

}  // namespace metrics
