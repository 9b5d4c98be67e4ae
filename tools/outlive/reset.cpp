// outlive reset: rebuilds the data of a mutex that no repair mends, and makes the mutex consistent.
// docs/man/outlive-reset.1.scd
#include <outlive/reset.hpp>

#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>

#include "commands.hpp"
#include "inspect.hpp"
#include "repairs.hpp"
#include "show/tables.hpp"

namespace commands {

namespace {

struct reset_settings {
  std::string segment;
  std::string mutex;
  std::string repairs;
  bool as_it_is = false;
  bool dry_run = false;
};

// The library's rebuild for the class, or one that changes nothing if the user says that the data
// is good.
outlive::repair_callback rebuild_for(const outlive::repairs_plugin& plugin,
                                     const std::string& lock_class, bool as_it_is) {
  if (as_it_is) return outlive::always_consistent;
  const auto found = std::find_if(
      plugin.rebuilds.begin(), plugin.rebuilds.end(),
      [&](const outlive::repairs_plugin::rebuild& each) { return each.lock_class == lock_class; });
  return found != plugin.rebuilds.end() ? found->run : outlive::repair_callback();
}

outlive::robust_mutex& mutex_at(outlive::segment& segment, std::uint64_t offset) {
  char* const base = const_cast<char*>(static_cast<const char*>(segment.base()));
  // checked by the view, and again by reset()
  return *reinterpret_cast<outlive::robust_mutex*>(base + offset);
}

int reset_command(const reset_settings& wanted) {
  const auto view = inspect::open(wanted.segment);
  const auto found = inspect::find_mutex(view, wanted.mutex);
  const std::string mutex =
      printable(fmt::format("mutex \"{}\" of segment \"{}\"", wanted.mutex, wanted.segment));
  if (!found) {
    print_message(fmt::format(
        "outlive reset: {}: there is no such mutex (`outlive show --all` lists all mutexes)",
        mutex));
    return problem_found;
  }
  const std::string state = show::state_of(*found);
  if (wanted.dry_run) {
    const bool consistent =
        found->condition == outlive::viewed_condition::consistent && !found->holder_died;
    write_result(fmt::format("{}: {}: {}\n", mutex, state,
                             consistent ? "would be left alone" : "would be reset"));
    return success;
  }
  outlive::segment segment = repairs::open_segment(wanted.segment);
  const auto plugin = repairs::load(segment, wanted.repairs);
  const auto rebuild = rebuild_for(*plugin, found->lock_class, wanted.as_it_is);
  if (!rebuild) {
    print_message(fmt::format(
        "outlive reset: {}: no rebuild for lock class \"{}\"{}: name a library that has one with "
        "--repairs, or use --as-it-is",
        mutex, found->lock_class, wanted.repairs.empty() ? "" : " in " + wanted.repairs));
    return problem_found;
  }
  try {
    const bool done = outlive::reset(mutex_at(segment, found->offset), rebuild);
    write_result(fmt::format(
        "{}: {}\n", mutex,
        done ? fmt::format("was \"{}\", is now consistent", state) : "is consistent, left alone"));
    return success;
  } catch (const std::system_error& error) {
    if (error.code() != outlive::errc::repair_failed && error.code() != outlive::errc::in_use)
      throw;
    print_message(fmt::format("outlive reset: {}", error.what()));
    return problem_found;
  }
}

}  // namespace

void add_reset(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("reset", "Rebuild the data of a mutex that is not recoverable");
  const auto wanted = std::make_shared<reset_settings>();
  inspect::add_segment_argument(command, wanted->segment);
  command
      .add_option("mutex", wanted->mutex,
                  "Its name, or its offset in the segment, as `outlive show` prints them")
      ->required()
      ->type_name("LOCK");
  repairs::add_option(command, wanted->repairs);
  command
      .add_flag("--as-it-is", wanted->as_it_is, "Rebuild nothing: the data was checked and is good")
      ->excludes("--repairs");
  command.add_flag("--dry-run", wanted->dry_run, "Only print what would be done");
  command.callback([wanted, &exit_code] { exit_code = reset_command(*wanted); });
}

}  // namespace commands
