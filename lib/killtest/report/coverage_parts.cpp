#include "killtest/report/coverage_parts.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "killtest/report/report_text.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest {

namespace {

using nlohmann::json;

json value_of(const coverage& of) {
  json lines = json::array();
  for (const covered_line& each : of.lines) {
    lines.push_back({{"file", each.file},
                     {"line", each.line},
                     {"function", each.function},
                     {"hole", each.is_hole}});
  }
  return {{"scenarios", of.scenarios}, {"left_out", of.left_out}, {"lines", lines}};
}

std::string text_of(const json& value) {
  return value.dump(1, ' ', false, json::error_handler_t::replace) + '\n';
}

// The same in each run, and another one for another program.
std::string file_of(const std::string& scenario) {
  std::error_code error;
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  for (const char each : program + '\n' + scenario)
    hash = (hash ^ static_cast<unsigned char>(each)) * 1099511628211U;
  return "coverage-" + outlive::detail::hex_16(hash) + ".json";
}

coverage read_part(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file)
    throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), path.string());
  try {
    const json value = json::parse(text);
    coverage made{value.at("scenarios"), value.at("left_out"), {}};
    for (const json& each : value.at("lines"))
      made.lines.push_back(
          {each.at("file"), each.at("line"), each.at("function"), each.at("hole")});
    return made;
  } catch (const json::exception& error) {
    throw std::runtime_error(path.string() + ": found no part of a coverage: " + error.what());
  }
}

using lines_by_place = std::map<std::pair<std::string, unsigned>, covered_line>;

void add(lines_by_place& to, const std::vector<covered_line>& lines) {
  for (const covered_line& each : lines) {
    covered_line& known = to.try_emplace({each.file, each.line}, each).first->second;
    known.is_hole = known.is_hole && each.is_hole;
  }
}

}  // namespace

void detail::write_part(const coverage& part, const std::string& folder) {
  std::filesystem::create_directories(folder);
  const std::string path = folder + '/' + file_of(part.scenarios.front());
  // Another process may read the folder meanwhile.
  const std::string made = path + '.' + std::to_string(::getpid());
  write_file(made, text_of(value_of(part)));
  std::filesystem::rename(made, path);
}

coverage read_coverage(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& each : std::filesystem::directory_iterator(folder)) {
    if (each.path().extension() == ".json" &&
        each.path().filename().string().starts_with("coverage-"))
      files.push_back(each.path());
  }
  if (files.empty()) throw std::runtime_error(folder + ": found no part of a coverage");
  std::sort(files.begin(), files.end());
  coverage all;
  lines_by_place lines;
  for (const std::filesystem::path& each : files) {
    const coverage part = read_part(each);
    all.scenarios.insert(all.scenarios.end(), part.scenarios.begin(), part.scenarios.end());
    all.left_out.insert(all.left_out.end(), part.left_out.begin(), part.left_out.end());
    add(lines, part.lines);
  }
  for (auto& each : lines) all.lines.push_back(std::move(each.second));
  return all;
}

std::vector<covered_line> coverage::holes() const {
  std::vector<covered_line> found;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(found),
               [](const covered_line& each) { return each.is_hole; });
  return found;
}

std::string coverage::summary() const {
  const std::vector<covered_line> all = holes();
  std::string text = detail::counted(scenarios.size(), "scenario") + ": of " +
                     detail::counted(lines.size(), "line") +
                     " of functions that hold a mutex, nobody came to " +
                     std::to_string(all.size()) + '\n';
  for (const covered_line& each : all)
    text += "  " + each.file + ':' + std::to_string(each.line) + " in " + each.function + "()\n";
  for (const std::string& each : left_out) text += "  left out: " + each + '\n';
  return text;
}

std::string to_json(const coverage& of) {
  return text_of(value_of(of));
}

void write_lcov(const coverage& of, const std::string& path) {
  std::string text = "TN:\n";
  for (std::size_t i = 0; i < of.lines.size(); ++i) {
    const covered_line& each = of.lines[i];
    if (i == 0 || each.file != of.lines[i - 1].file) text += "SF:" + each.file + '\n';
    text += "DA:" + std::to_string(each.line) + (each.is_hole ? ",0\n" : ",1\n");
    if (i + 1 == of.lines.size() || of.lines[i + 1].file != each.file) text += "end_of_record\n";
  }
  detail::write_file(path, text);
}

}  // namespace outlive::killtest
