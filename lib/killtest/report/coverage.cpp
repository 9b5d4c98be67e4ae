#include "killtest/report/coverage.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "killtest/report/report_text.hpp"

namespace outlive::killtest::detail {

namespace {

using files = std::map<std::string, source_file>;

// Each line of a stack once, even in a recursion.
template <class Visit>
void for_each_line(files& in, const std::vector<frame>& stack, Visit visit) {
  std::set<std::pair<std::string_view, unsigned>> seen;
  for (const frame& each : stack) {
    if (each.line == 0 || !seen.emplace(each.file, each.line).second) continue;
    source_line& line = in[each.file].lines[each.line];
    if (line.function.empty()) line.function = each.function;
    visit(line);
  }
}

void add(files& to, const report& from) {
  for (const code_line& each : from.code) {
    source_line& line = to[each.file].lines[each.line];
    if (line.function.empty()) line.function = each.function;
  }
  for (std::size_t i = 0; i < from.stacks.size() && i < from.points_at.size(); ++i) {
    for_each_line(to, from.stacks[i], [&](source_line& line) { line.points += from.points_at[i]; });
  }
  for (const crash_state& each : from.states) {
    if (each.deaths.empty() || each.deaths.back().stack >= from.stacks.size()) continue;
    for_each_line(to, from.stacks[each.deaths.back().stack], [&](source_line& line) {
      line.states.push_back({&from, &each});
      if (each.result != verdict::ok) ++line.failed;
    });
  }
}

std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  return lines;
}

bool is_outlives(const source_file& file) {
  return std::all_of(file.lines.begin(), file.lines.end(), [](const auto& each) {
    const std::string& name = each.second.function;
    return name.empty() || is_outlives_function(name);
  });
}

bool is_the_c_librarys(const std::string& path) {
  return path.find("/nptl/") != std::string::npos || path.find("/sysdeps/") != std::string::npos;
}

}  // namespace

std::size_t source_file::failed() const noexcept {
  std::size_t most = 0;
  for (const auto& [number, line] : lines) most = std::max(most, line.failed);
  return most;
}

files source_files_of(std::span<const report> reports) {
  files made;
  for (const report& each : reports) add(made, each);
  for (auto each = made.begin(); each != made.end();) {
    each->second.text = read_lines(each->first);
    each->second.is_outlives = is_outlives(each->second);
    const bool drop = each->second.text.empty() && is_the_c_librarys(each->first);
    each = drop ? made.erase(each) : std::next(each);
  }
  return made;
}

}  // namespace outlive::killtest::detail
