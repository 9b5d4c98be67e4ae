// outlive show: who is attached to a segment, and who holds which mutex.
// docs/man/outlive-show.1.scd
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "inspect.hpp"
#include "show/tables.hpp"

namespace commands {

namespace {

struct show_settings {
  std::string segment;
  bool all = false;
  std::chrono::nanoseconds sample = std::chrono::milliseconds(200);
  table_settings output;
};

std::string free_text(std::size_t free, std::size_t all) {
  if (free < all)
    return fmt::format("{} of {} mutexes {} free", free, all, free == 1 ? "is" : "are");
  return all == 1 ? "the only mutex is free" : fmt::format("all {} mutexes are free", all);
}

std::string as_text(const show_settings& wanted, const show::snapshot& snap) {
  const terminal on = terminal::of_stdout();
  // With -o only the mutexes are asked for: the other tables have other columns.
  if (!wanted.output.columns.empty())
    return show::lock_table(snap, wanted.all).as_text(wanted.output, on);
  std::string text = show::heading(snap, on) + '\n' +
                     show::participant_table(snap).as_text(wanted.output, on) + '\n' +
                     show::thread_table(snap).as_text(wanted.output, on);
  const table locks = show::lock_table(snap, wanted.all);
  if (!locks.empty()) text += '\n' + locks.as_text(wanted.output, on);
  const std::size_t free = show::free_count(snap);
  if (!wanted.all && free != 0) text += '\n' + free_text(free, snap.locks.size()) + '\n';
  for (const table& each :
       {companions::queue_table(snap.companions), companions::pool_table(snap.companions)}) {
    if (!each.empty()) text += '\n' + each.as_text(wanted.output, on);
  }
  return text;
}

nlohmann::ordered_json as_json(const show_settings& wanted, const show::snapshot& snap) {
  nlohmann::ordered_json all = show::summary(snap);
  all["participants"] = show::participant_table(snap).as_json({});
  all["threads"] = show::thread_table(snap).as_json({});
  all["locks"] = show::lock_table(snap, wanted.all).as_json(wanted.output);
  all["queues"] = companions::queue_table(snap.companions).as_json({});
  all["permit_pools"] = companions::pool_table(snap.companions).as_json({});
  return all;
}

int show_command(const show_settings& wanted) {
  const outlive::segment_view view = inspect::open(wanted.segment);
  show::snapshot snap;
  if (wanted.sample.count() > 0) {
    snap.look_first(view);
    std::this_thread::sleep_for(wanted.sample);
  }
  snap.read(view);
  write_result(wanted.output.json ? json_text(as_json(wanted, snap)) : as_text(wanted, snap));
  return success;
}

}  // namespace

void add_show(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("show", "Show who is attached to a segment, and who holds which mutex");
  const auto wanted = std::make_shared<show_settings>();
  inspect::add_segment_argument(command, wanted->segment);
  command.add_flag("-a,--all", wanted->all, "Also list free mutexes");
  add_duration_option(command, "--sample", wanted->sample,
                      "Time between the two looks that show how long a mutex is held [200ms]");
  add_table_options(command, wanted->output, show::lock_columns());
  command.callback([wanted, &exit_code] { exit_code = show_command(*wanted); });
}

}  // namespace commands
