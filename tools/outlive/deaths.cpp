// outlive deaths: the death log of a segment. docs/man/outlive-deaths.1.scd
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "looks.hpp"
#include "source_lines.hpp"
#include "table.hpp"

namespace commands {

namespace {

std::vector<column> deaths_columns() {
  return {{"number", "NUMBER", align::right},
          {"when", "WHEN"},
          {"mutex", "MUTEX"},
          {"lock_class", "CLASS", align::left, false},
          {"mutex_offset", "OFFSET", align::right, false},
          {"owner", "OWNER"},
          {"owner_pid", "PID", align::right, false},
          {"owner_tid", "TID", align::right, false},
          {"note", "NOTE", align::right, false},
          {"acquired_at", "TAKEN AT", align::left, true, true},
          {"module", "MODULE", align::left, false, true},
          {"module_offset", "MODULE OFFSET", align::right, false},
          {"heir", "HEIR"},
          {"heir_pid", "HEIR PID", align::right, false},
          {"attempt", "ATTEMPT", align::right},
          {"outcome", "OUTCOME"}};
}

tone tone_of(outlive::death_outcome outcome) {
  switch (outcome) {
    case outlive::death_outcome::repaired: return tone::good;
    case outlive::death_outcome::repairing: return tone::plain;
    case outlive::death_outcome::unrepaired: return tone::warning;
    case outlive::death_outcome::failed:
    case outlive::death_outcome::not_recoverable: return tone::bad;
  }
  return tone::plain;
}

cell known(const outlive::logged_thread& thread, std::int64_t value) { return thread.known ? cell(value) : cell::none(); }

std::string named(const outlive::logged_thread& thread) {
  return thread.known ? looks::thread_name(thread.pid, thread.tid, thread.command_name, thread.thread_name) : std::string();
}

cell hex(std::uint64_t value) { return {fmt::format("0x{:x}", value), value}; }

std::vector<cell> line_of(const outlive::logged_death& death, source_lines& sources) {
  return {death.number,
          looks::time_cell(death.when),
          death.mutex_name,
          death.lock_class,
          hex(death.mutex_offset),
          named(death.owner),
          known(death.owner, death.owner.pid),
          known(death.owner, death.owner.tid),
          death.owner.known ? cell(death.owner.note) : cell::none(),
          sources.describe_call(death.acquired_at_module, death.acquired_at_offset),
          death.acquired_at_module,
          hex(death.acquired_at_offset),
          named(death.heir),
          known(death.heir, death.heir.pid),
          death.attempt == 0 ? cell::none() : cell(death.attempt),
          cell(to_string(death.outcome)).in(tone_of(death.outcome))};
}

int deaths_command(const std::string& segment, const table_settings& wanted) {
  table lines(deaths_columns());
  source_lines sources;
  for (const auto& death : looks::open(segment).deaths()) lines.add(line_of(death, sources));
  write_result(lines.rendered(wanted, terminal::of_stdout()));
  return fine;
}

}  // namespace

void add_deaths(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand("deaths", "Tell who died while holding a mutex of a segment, and how it was repaired");
  const auto wanted = std::make_shared<table_settings>();
  const auto segment = std::make_shared<std::string>();
  looks::add_segment_argument(command, *segment);
  add_table_options(command, *wanted, deaths_columns());
  command.callback([=, &exit_code] { exit_code = deaths_command(*segment, *wanted); });
}

}  // namespace commands
