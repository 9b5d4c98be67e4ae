// lcov's tracefile (geninfo(1) has the format): a record for each source file.
#include <outlive/killtest/files.hpp>

#include <algorithm>
#include <map>

#include "killtest/report/coverage.hpp"
#include "killtest/report/report_text.hpp"

namespace outlive::killtest {

using namespace detail;

namespace {

struct function_count {
  unsigned first_line = 0;
  std::size_t points = 0;
};

std::string record(const std::string& path, const source_file& file) {
  std::string text = "TN:killtest\nSF:" + path + '\n';
  std::map<std::string, function_count> functions;
  std::string lines;
  std::size_t found = 0;
  std::size_t hit = 0;
  for (const auto& [number, line] : file.lines) {
    // the file has changed since it was compiled; genhtml would stop here
    if (number > file.text.size()) continue;
    lines += "DA:" + std::to_string(number) + ',' + std::to_string(line.points) + '\n';
    ++found;
    if (line.points != 0) ++hit;
    if (line.function.empty()) continue;
    function_count& function =
        functions.try_emplace(line.function, function_count{number, 0}).first->second;
    function.points = std::max(function.points, line.points);
  }
  std::size_t reached = 0;
  for (const auto& [name, function] : functions) {
    text += "FN:" + std::to_string(function.first_line) + ',' + name +
            "\nFNDA:" + std::to_string(function.points) + ',' + name + '\n';
    if (function.points != 0) ++reached;
  }
  text +=
      "FNF:" + std::to_string(functions.size()) + "\nFNH:" + std::to_string(reached) + '\n' + lines;
  return text + "LF:" + std::to_string(found) + "\nLH:" + std::to_string(hit) + "\nend_of_record\n";
}

}  // namespace

void write_lcov(std::span<const report> reports, const std::string& path) {
  std::string text;
  for (const auto& [source, file] : source_files_of(reports)) {
    if (!file.text.empty()) text += record(source, file);
  }
  write_file(path, text);
}

}  // namespace outlive::killtest
