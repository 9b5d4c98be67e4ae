// coverage: reports by source line.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <outlive/killtest/report.hpp>

namespace outlive::killtest::detail {

struct state_at {
  const report* in;
  const crash_state* state;
};

struct source_line {
  std::string function;          // empty if it is not known
  std::size_t points = 0;        // deaths at it, or in what it called
  std::size_t failed = 0;        // of the states
  std::vector<state_at> states;  // whose last death was there; the reports outlive this
};

struct source_file {
  std::map<unsigned, source_line> lines;  // those that have code
  std::vector<std::string> text;          // empty if it could not be read
  bool is_outlives = false;               // all of its functions are outlive's own
  [[nodiscard]] std::size_t failed() const noexcept;
};

// By path, without files of the C library: its functions are not under test, and their callers have
// the counts, too.
[[nodiscard]] std::map<std::string, source_file> source_files_of(std::span<const report> reports);

}  // namespace outlive::killtest::detail
