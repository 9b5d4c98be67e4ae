// coverage: which lines of the functions that hold a lock no kill test has come to, over all
// scenarios of a test run.
//
// explore() writes a part into a folder for each scenario (explore_options::coverage, or the
// environment variable OUTLIVE_KILLTEST_COVERAGE). read_coverage() puts the parts together.
//
// A part has the lines of each function of yours that the victim, or an heir, was in while it held
// a mutex, and whether it came to them. What it came to is a kill point, as far as it stores. A
// line that nobody came to, such as the other branch of an if, is a hole: if it stores, nobody was
// killed there.
//
// It does not see: functions that no scenario enters with a mutex held; branches within one line;
// whether a hole stores at all. It needs debugging information (-g) and ptrace: the victim, and one
// heir for each way through a repair, run once more by single steps.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <string>
#include <vector>

#include <outlive/detail/export.hpp>

namespace outlive::killtest {

struct covered_line {
  std::string file;
  unsigned line = 0;
  std::string function;
  bool is_hole = false;  // no scenario came to it
};

struct coverage {
  std::vector<std::string> scenarios;  // of the parts
  std::vector<std::string> left_out;   // why parts are not whole, each with its scenario
  std::vector<covered_line> lines;     // by file and line, each once

  [[nodiscard]] OUTLIVE_API std::vector<covered_line> holes() const;
  // For people: the holes, by function, and what was left out.
  [[nodiscard]] OUTLIVE_API std::string summary() const;
};

// Returns: the parts of the folder as one.
// Throws: std::system_error, which names the folder or the file, if it cannot be read;
//   std::runtime_error, which names the file, if that is no part, or if the folder has none.
[[nodiscard]] OUTLIVE_API coverage read_coverage(const std::string& folder);

// As JSON; and as lcov's tracefile, in which a hole has the count 0 and other lines have 1.
[[nodiscard]] OUTLIVE_API std::string to_json(const coverage& of);
// Throws: std::system_error, which names the file, if it cannot be written.
OUTLIVE_API void write_lcov(const coverage& of, const std::string& path);

}  // namespace outlive::killtest
