// Reports as files: for a CI server (JUnit), for tools that show coverage (lcov), and for people
// (HTML).
//
// Each of the three takes any number of reports, writes one file, and overwrites what was there.
// Throws: std::system_error, which names the file, when it cannot be written. Blocks: on the file
//   system.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <span>
#include <string>

#include <outlive/export.hpp>
#include <outlive/killtest/report.hpp>

namespace outlive::killtest {

// JUnit's XML: a test case for each scenario. One that could not be explored, or in which nothing
// was killed, is an error; one that failed has the first failure as its message, and the summary as
// its text.
OUTLIVE_API void write_junit(std::span<const report> reports, const std::string& path);

// lcov's tracefile, as genhtml renders it. The count of a line: how many deaths came at it, or in
// what it called; 0 for a line, of a function with stores, at which nobody was killed. Source files
// that are not there are left out: genhtml would stop at them.
OUTLIVE_API void write_lcov(std::span<const report> reports, const std::string& path);

// One page, which loads nothing: of each scenario what came of it, and of each source line how many
// distinct crash states were left by a death at it, or in what it called, how many of them failed,
// and by a click at which stacks. Where several deaths came in a row, the last one counts. Source
// text is shown as far as the files are there.
OUTLIVE_API void write_html(std::span<const report> reports, const std::string& path);

}  // namespace outlive::killtest
