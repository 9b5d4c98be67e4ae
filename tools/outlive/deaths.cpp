// outlive deaths: the death log of a segment. docs/man/outlive-deaths.1.scd
#include <cstddef>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "companions.hpp"
#include "inspect.hpp"
#include "source_lines.hpp"
#include "table.hpp"

namespace commands {

namespace {

std::vector<column> deaths_columns() {
  std::vector<column> all{{"number", "NUMBER", align::right},
                          {"meeting", "MEETING"},
                          {"when", "WHEN"},
                          {"mutex", "MUTEX"},
                          {"lock_class", "CLASS", align::left, false},
                          {"mutex_offset", "OFFSET", align::right, false},
                          {"owner", "OWNER"},
                          {"owner_pid", "PID", align::right, false},
                          {"owner_tid", "TID", align::right, false},
                          {"note", "NOTE", align::right, false},
                          {"acquired_at", "ACQUIRED AT"},
                          {"module", "MODULE", align::left, false, true},
                          {"module_offset", "MODULE OFFSET", align::right, false},
                          {"crash", "CRASH"},
                          {"heir", "HEIR"},
                          {"heir_pid", "HEIR PID", align::right, false},
                          {"attempt", "ATTEMPT", align::right},
                          {"outcome", "OUTCOME"},
                          {"repair_seconds", "REPAIR", align::right}};
  mark_columns(all, &column::may_go, {"meeting", "crash", "heir", "attempt", "repair_seconds"});
  mark_columns(all, &column::is_whole, {"when"});
  return all;
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

cell known(const outlive::thread_identity& thread, std::int64_t value) {
  return thread.known ? cell(value) : cell::none();
}

std::string named(const outlive::thread_identity& thread) {
  return thread.known ? inspect::thread_name(thread) : std::string();
}

std::vector<std::string> stack_of(const outlive::crash_report& crash, source_lines& sources) {
  std::vector<std::string> lines;
  // The first is the instruction that crashed, the others are return addresses.
  for (const auto& frame : crash.frames)
    lines.push_back(sources.describe_call(frame.module, frame.offset + (lines.empty() ? 1 : 0)));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || crash.frames[i].offset == 0) lines[i] = to_string(crash.frames[i]);
  }
  return lines;
}

cell crash_cell(const outlive::logged_death& death, source_lines& sources) {
  if (!death.crash) return "";
  return {to_string(*death.crash), nlohmann::json{{"signal", to_string(*death.crash)},
                                                  {"stack", stack_of(*death.crash, sources)}}};
}

cell repair_cell(std::chrono::nanoseconds time) {
  return time.count() == 0 ? cell::none() : duration_cell(time);
}

std::string stacks_text(const std::vector<outlive::logged_death>& deaths, source_lines& sources) {
  std::string text;
  for (const auto& death : deaths) {
    if (!death.crash) continue;
    text += fmt::format("\ndeath {}: {}\n", death.number, printable(to_string(*death.crash)));
    const auto stack = stack_of(*death.crash, sources);
    for (std::size_t i = 0; i < stack.size(); ++i)
      text += fmt::format("  #{} {}\n", i, printable(stack[i]));
  }
  return text;
}

std::vector<cell> row_of(const outlive::logged_death& death, source_lines& sources) {
  return {death.number,
          death.met_before ? "again" : "first",
          inspect::time_cell(death.when),
          death.mutex_name,
          death.lock_class,
          hex_cell(death.mutex_offset),
          named(death.owner),
          known(death.owner, death.owner.pid),
          known(death.owner, death.owner.tid),
          death.owner.known ? cell(death.owner.note) : cell::none(),
          sources.describe_call(death.acquired_at_module, death.acquired_at_offset),
          death.acquired_at_module,
          hex_cell(death.acquired_at_offset),
          crash_cell(death, sources),
          named(death.heir),
          known(death.heir, death.heir.pid),
          death.attempt == 0 ? cell::none() : cell(death.attempt),
          cell(to_string(death.outcome)).in(tone_of(death.outcome)),
          repair_cell(death.repair_time)};
}

// A death that nobody has met yet: what the log will say once somebody locks the mutex.
std::vector<cell> row_of(const outlive::pending_death& death, source_lines& sources) {
  const outlive::held_lock& held = death.held;
  return {cell::none(),
          "none yet",
          cell::none(),
          held.mutex_name,
          held.lock_class,
          hex_cell(held.mutex_offset),
          named(death.owner),
          known(death.owner, death.owner.pid),
          known(death.owner, death.owner.tid),
          death.owner.known ? cell(death.owner.note) : cell::none(),
          sources.describe_call(held.acquired_at),
          held.acquired_at.module,
          hex_cell(held.acquired_at.offset),
          "",
          "",
          cell::none(),
          cell::none(),
          cell("pending").in(tone::warning),
          cell::none()};
}

int jobs_command(const std::string& segment, const table_settings& wanted) {
  const table jobs = companions::fatal_job_table(inspect::open(segment).queues());
  write_result(jobs.rendered(wanted, terminal::of_stdout()));
  if (jobs.empty() && !wanted.json)
    print_message(
        fmt::format("segment \"{}\": no thread has died on a job that is still there", segment));
  return success;
}

int deaths_command(const std::string& segment, const table_settings& wanted) {
  table lines(deaths_columns());
  source_lines sources;
  const outlive::segment_view view = inspect::open(segment);
  // The pending ones first: one that is met meanwhile is then there twice, not missing.
  const auto pending = view.pending_deaths();
  const auto deaths = view.deaths();
  for (const auto& death : deaths) lines.add(row_of(death, sources));
  for (const auto& death : pending) lines.add(row_of(death, sources));
  const terminal on = terminal::of_stdout();
  std::string text = lines.rendered(wanted, on);
  // With -o only the rows are asked for; in JSON these have the stacks.
  if (!wanted.json && wanted.columns.empty()) {
    text += stacks_text(deaths, sources);
    const table jobs = companions::fatal_job_table(view.queues());
    if (!jobs.empty()) text += '\n' + jobs.as_text(wanted, on);
  }
  write_result(text);
  if (deaths.empty() && pending.empty() && !wanted.json)
    print_message(
        fmt::format("segment \"{}\": no owner death was met, and none is pending", segment));
  return success;
}

}  // namespace

void add_deaths(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand(
      "deaths",
      "Show which owners died while holding a mutex of a segment, and how it was repaired");
  const auto wanted = std::make_shared<table_settings>();
  const auto segment = std::make_shared<std::string>();
  inspect::add_segment_argument(command, *segment);
  add_table_options(command, *wanted, deaths_columns());
  const auto jobs = std::make_shared<bool>(false);
  command.add_flag("--jobs", *jobs, "Print only the jobs of queues that threads died on")
      ->excludes("-o");
  command.callback([=, &exit_code] {
    exit_code = *jobs ? jobs_command(*segment, *wanted) : deaths_command(*segment, *wanted);
  });
}

}  // namespace commands
