// outlive recover: does what the next lockers would do, at once, with the repairs of a library.
// docs/man/outlive-recover.1.scd
#include <outlive/recover.hpp>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>

#include "commands.hpp"
#include "inspect.hpp"
#include "repairs.hpp"
#include "show/tables.hpp"
#include "table.hpp"

namespace commands {

namespace {

struct recover_settings {
  std::string segment;
  std::string repairs;
  bool dry_run = false;
  table_settings output;
};

std::vector<column> recover_columns() {
  std::vector<column> all{{"mutex", "MUTEX"},
                          {"lock_class", "CLASS"},
                          {"mutex_offset", "OFFSET", align::right, false},
                          {"pid", "PID", align::right},
                          {"tid", "TID", align::right, false},
                          {"outcome", "OUTCOME"},
                          {"error", "ERROR"}};
  all.back().wraps = true;
  return all;
}

cell id_cell(pid_t of) {
  return of == 0 ? cell::none() : cell(of);
}

tone tone_of(outlive::recovery_outcome outcome) {
  switch (outcome) {
    case outlive::recovery_outcome::repaired:
    case outlive::recovery_outcome::nothing_to_repair: return tone::good;
    case outlive::recovery_outcome::held_by_another: return tone::plain;
    case outlive::recovery_outcome::unrepaired: return tone::warning;
    case outlive::recovery_outcome::not_recoverable: break;
  }
  return tone::bad;
}

// Headings alone would not say that there was nothing to do.
void write_lines(const recover_settings& wanted, const table& lines) {
  write_result(lines.rendered(wanted.output, terminal::of_stdout()));
  if (lines.empty() && !wanted.output.json)
    print_message(fmt::format("segment \"{}\": nothing to recover", wanted.segment));
}

int list_due(const recover_settings& wanted) {
  table lines(recover_columns());
  const auto view = inspect::open(wanted.segment);
  const auto left = inspect::mutexes_to_recover(view);
  const auto threads = view.threads();
  for (const auto& each : left) {
    const auto dead =
        std::find_if(threads.begin(), threads.end(),
                     [&](const outlive::viewed_thread& by) { return by.record == each.holder; });
    const bool is_known = dead != threads.end();
    lines.add({inspect::mutex_name(each), each.lock_class, hex_cell(each.offset),
               id_cell(is_known ? dead->pid : 0), id_cell(is_known ? dead->tid : each.holder_tid),
               cell("would be recovered (" + show::state_of(each) + ")"), cell("")});
  }
  write_lines(wanted, lines);
  return left.empty() ? success : problem_found;
}

// What to do about mutexes that are not repaired.
void write_advice(const recover_settings& wanted, const std::vector<outlive::recovered_mutex>& done,
                  const std::vector<std::string>& classes) {
  std::set<std::string> missing, failed, lost;
  for (const auto& each : done) {
    if (each.outcome == outlive::recovery_outcome::not_recoverable)
      lost.insert(each.mutex_name);
    else if (each.error == outlive::errc::owner_died_unrepaired)
      missing.insert(each.lock_class);
    else if (each.error == outlive::errc::repair_failed)
      failed.insert(each.lock_class);
  }
  const std::string context = fmt::format("outlive recover: segment \"{}\"", wanted.segment);
  if (!missing.empty()) {
    const std::string found =
        wanted.repairs.empty() ? "no library with repairs"
        : classes.empty()
            ? fmt::format("no repairs in {}", wanted.repairs)
            : fmt::format("repairs in {} for \"{}\"", wanted.repairs, fmt::join(classes, "\", \""));
    print_message(fmt::format("{}: found {}, expected one for \"{}\": --repairs FILE.so", context,
                              found, fmt::join(missing, "\", \"")));
  }
  if (!failed.empty())
    print_message(
        fmt::format("{}: the repair of \"{}\" failed; the next attempt may be the last "
                    "one (`outlive show` has the number)",
                    context, fmt::join(failed, "\", \"")));
  for (const std::string& mutex : lost)
    print_message(fmt::format("{}: `outlive reset {} {} --repairs FILE.so` rebuilds \"{}\"",
                              context, wanted.segment, mutex, mutex));
}

int recover_command(const recover_settings& wanted) {
  if (wanted.dry_run) return list_due(wanted);
  outlive::segment segment = repairs::open_segment(wanted.segment);
  const auto plugin = repairs::load(segment, wanted.repairs);
  const auto done = outlive::recover(segment);
  table lines(recover_columns());
  for (const auto& each : done) {
    const auto at = static_cast<std::uint64_t>(reinterpret_cast<const char*>(each.mutex) -
                                               static_cast<const char*>(segment.base()));
    lines.add({each.mutex_name, each.lock_class, hex_cell(at), id_cell(each.pid), id_cell(each.tid),
               cell(to_string(each.outcome)).in(tone_of(each.outcome)),
               cell(each.error ? each.error.message() : std::string())});
  }
  write_lines(wanted, lines);
  write_advice(wanted, done, outlive::classes_with_repair(segment));
  const bool all_well =
      std::all_of(done.begin(), done.end(), [](const outlive::recovered_mutex& each) {
        return each.outcome != outlive::recovery_outcome::unrepaired &&
               each.outcome != outlive::recovery_outcome::not_recoverable;
      });
  return all_well ? success : problem_found;
}

}  // namespace

void add_recover(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("recover", "Recover what dead threads of a segment held");
  const auto wanted = std::make_shared<recover_settings>();
  inspect::add_segment_argument(command, wanted->segment);
  repairs::add_option(command, wanted->repairs);
  command.add_flag("--dry-run", wanted->dry_run, "Only print what would be recovered");
  add_table_options(command, wanted->output, recover_columns());
  command.callback([wanted, &exit_code] { exit_code = recover_command(*wanted); });
}

}  // namespace commands
