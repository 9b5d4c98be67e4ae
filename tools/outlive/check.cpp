// outlive check: checks the bytes of a segment against the format.
// docs/man/outlive-check.1.scd
#include <cstddef>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>

#include "commands.hpp"
#include "inspect.hpp"
#include "table.hpp"

namespace commands {

namespace {

std::vector<column> check_columns() {
  std::vector<column> all{{"object", "OBJECT"}, {"found", "FOUND"}, {"expected", "EXPECTED"}};
  for (column& each : all) each.wraps = true;
  return all;
}

// An error's message is made of the same three parts: "OBJECT: found SOMETHING, expected
// SOMETHING".
outlive::segment_problem problem_in(const std::system_error& error) {
  std::string_view text = error.what();
  outlive::segment_problem problem{std::string(text), "", ""};
  const std::string end = ": " + error.code().message();
  if (text.ends_with(end)) text.remove_suffix(end.size());
  const std::string_view found = ": found ", expected = ", expected ";
  const std::size_t first = text.find(found), second = text.rfind(expected);
  if (first == text.npos || second == text.npos || second < first) return problem;
  problem.object = text.substr(0, first);
  problem.found = text.substr(first + found.size(), second - first - found.size());
  problem.expected = text.substr(second + expected.size());
  return problem;
}

// If its damage keeps the segment from being opened, that is its only problem.
std::vector<outlive::segment_problem> problems_of(const std::string& segment) {
  try {
    return inspect::open(segment).problems();
  } catch (const std::system_error& error) {
    if (error.code() != outlive::errc::damaged) throw;
    return {problem_in(error)};
  }
}

int check_command(const std::string& segment, const table_settings& wanted) {
  table lines(check_columns());
  for (const auto& each : problems_of(segment))
    lines.add({each.object, cell(each.found).in(tone::bad), each.expected});
  if (wanted.json || !lines.empty())
    write_result(lines.rendered(wanted, terminal::of_stdout()));
  else
    write_result(fmt::format("segment {}: no problem found\n", printable(segment)));
  return lines.empty() ? success : problem_found;
}

}  // namespace

void add_check(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand(
      "check", "Check every byte of a segment against the format, and change nothing");
  const auto wanted = std::make_shared<table_settings>();
  const auto segment = std::make_shared<std::string>();
  inspect::add_segment_argument(command, *segment);
  add_table_options(command, *wanted, check_columns());
  command.callback([=, &exit_code] { exit_code = check_command(*segment, *wanted); });
}

}  // namespace commands
