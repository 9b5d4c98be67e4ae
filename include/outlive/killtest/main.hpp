// run: the main() of a program of scenarios.
//
//   int main(int argc, char** argv) {
//     return outlive::killtest::run(argc, argv, {transfer_scenario(), queue_scenario()});
//   }
//
//   PROGRAM [SCENARIO...]   explores these, or all of them, and prints a summary of each
//     --list                names of the scenarios
//     --engine NAME         automatic, protection-keys, page-protection or single-step
//     --isolate --depth N --seed N --confirm N --images DIR      as in explore_options
//     --junit FILE --lcov FILE --html FILE                       report files (files.hpp)
//     --coverage DIR, --merge-coverage DIR                       coverage (coverage.hpp)
//     --json                the reports on stdout, instead of the summaries
//     --replay FILE         the heir alone, on the image of a crash state, in this process
#pragma once

#include <outlive/detail/requirements.hpp>

#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/killtest/code_build.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest {

// Returns: the exit status for main(). 0: every state came out well. 1: some state failed. 2: none
//   failed, but something could not run: a wrong command line, a scenario that could not be
//   explored or in which nothing was killed, a file that could not be written.
// Throws: nothing. Writes to stdout, and errors to stderr. Uses colour only on a terminal, and not
//   if NO_COLOR is set.
// Blocks: until everything is explored.
[[nodiscard]] OUTLIVE_API int run(int argc, char** argv, const std::vector<scenario>& scenarios,
                                  code_build built = this_build) noexcept;

}  // namespace outlive::killtest
