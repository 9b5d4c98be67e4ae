// outlive metrics: figures of segments for Prometheus. docs/man/outlive-metrics.1.scd
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "inspect.hpp"
#include "metrics/figures.hpp"

namespace commands {

namespace {

// For a segment that cannot be read. Returns: false.
bool no_view(metrics::sample& of, const std::system_error& error) {
  print_message(fmt::format("outlive metrics: {}", error.what()));
  of.view.reset();
  return false;
}

// Returns: whether the segments of this machine that belong to us, or that we may read, are sound.
bool open_all(metrics::samples& into) {
  bool sound = true;
  for (const std::string& name : inspect::segment_names()) {
    auto made = std::make_unique<metrics::sample>();
    made->segment = name;
    try {
      made->view = inspect::open(name);
    } catch (const std::system_error& error) {
      // removed since its name was read; or another user's, which is no problem of ours
      if (error.code() == outlive::errc::not_found || error.code() == std::errc::permission_denied)
        continue;
      sound = no_view(*made, error);
    }
    into.push_back(std::move(made));
  }
  return sound;
}

int metrics_command(const std::string& segment, bool all, std::chrono::nanoseconds time) {
  metrics::samples found;
  bool sound = true;
  if (all) {
    sound = open_all(found);
  } else {
    auto& one = *found.emplace_back(std::make_unique<metrics::sample>());
    one.segment = segment;
    one.view = inspect::open(segment);
  }
  const auto look_at_each = [&](auto look) {
    for (const auto& each : found) {
      if (!each->view) continue;
      try {
        look(*each);
      } catch (const std::system_error& error) {
        if (!all) throw;
        sound = no_view(*each, error);
      }
    }
  };
  look_at_each([](metrics::sample& each) { each.snap.look_first(*each.view); });
  std::this_thread::sleep_for(time);
  look_at_each([](metrics::sample& each) {
    each.snap.read(*each.view);
    each.deaths = each.view->deaths();
  });
  write_result(metrics::figures_of(found));
  return sound ? success : problem_found;
}

}  // namespace

void add_metrics(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("metrics", "Print a segment's figures in the text format of Prometheus");
  const auto segment = std::make_shared<std::string>();
  const auto sample = std::make_shared<std::chrono::nanoseconds>(std::chrono::seconds(1));
  const auto all = std::make_shared<bool>(false);
  CLI::Option* const name = inspect::add_segment_argument(command, *segment)->required(false);
  command.add_flag("-a,--all", *all, "All segments of this machine that can be read")
      ->excludes(name);
  add_duration_option(command, "--sample", *sample,
                      "A thread that holds a mutex for this long counts as hung [1s]");
  command.callback([=, &exit_code] {
    if (!*all && name->empty()) throw CLI::RequiredError("segment");
    exit_code = metrics_command(*segment, *all, *sample);
  });
}

}  // namespace commands
