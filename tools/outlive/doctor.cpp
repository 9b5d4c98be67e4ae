// outlive doctor: does this machine have what the library depends on?
// docs/man/outlive-doctor.1.scd
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "doctor/checks.hpp"
#include "table.hpp"

namespace commands {

namespace {

std::vector<column> doctor_columns() {
  std::vector<column> all{
      {"check", "CHECK"}, {"verdict", "VERDICT"}, {"found", "FOUND"}, {"meaning", "MEANING"}};
  for (column& each : all) each.wraps = true;
  return all;
}

cell cell_of(doctor::severity level) {
  switch (level) {
    case doctor::severity::ok: return cell("ok").in(tone::good);
    case doctor::severity::warn: return cell("warn").in(tone::warning);
    case doctor::severity::fail: break;
  }
  return cell("fail").in(tone::bad);
}

int doctor_command(const table_settings& wanted) {
  const auto findings = doctor::all_findings();
  table lines(doctor_columns());
  for (const auto& each : findings)
    lines.add({each.check, cell_of(each.level), each.found, each.meaning});
  write_result(lines.rendered(wanted, terminal::of_stdout()));
  const bool failed =
      std::any_of(findings.begin(), findings.end(),
                  [](const doctor::finding& each) { return each.level == doctor::severity::fail; });
  return failed ? problem_found : success;
}

}  // namespace

void add_doctor(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand(
      "doctor", "Check whether this machine has what robust mutexes depend on");
  const auto wanted = std::make_shared<table_settings>();
  add_table_options(command, *wanted, doctor_columns());
  command.callback([wanted, &exit_code] { exit_code = doctor_command(*wanted); });
}

}  // namespace commands
