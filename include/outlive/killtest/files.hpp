// Reports as files: for a CI server (JUnit), for code hosts (SARIF), for tools that show coverage
// (lcov), and for people (HTML).
//
// Each function takes any number of reports, writes one file, and overwrites an existing one.
// Throws: std::system_error, which names the file, if it cannot be written. Blocks: on the file
//   system.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <span>
#include <string>

#include <outlive/detail/export.hpp>
#include <outlive/killtest/report.hpp>

namespace outlive::killtest {

// JUnit's XML, with a test case for each scenario. A scenario that could not be explored, or in
// which nothing was killed, is an error. A failed scenario has its first failure as the message,
// and the summary as the text.
OUTLIVE_API void write_junit(std::span<const report> reports, const std::string& path);

// SARIF 2.1.0, which code hosts show beside the source: a result for each kind of failure, with
// file and line of the last death.
OUTLIVE_API void write_sarif(std::span<const report> reports, const std::string& path);

// lcov's tracefile, as genhtml renders it. The count of a line is the number of deaths at it or in
// what it called. It is 0 for a line of a function with stores at which nobody was killed. Missing
// source files are left out, because genhtml would stop at them.
OUTLIVE_API void write_lcov(std::span<const report> reports, const std::string& path);

// One page that loads nothing else. It shows the result of each scenario. For each source line it
// shows how many distinct crash states a death at the line, or in what it called, left, how many of
// them failed, and, on a click, the stacks. If there were several deaths in a row, the last one
// counts. Source text is shown if the files are there.
OUTLIVE_API void write_html(std::span<const report> reports, const std::string& path);

}  // namespace outlive::killtest
