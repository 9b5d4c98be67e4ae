// outlive supervise: watches a segment, recovers at once what the dead held, and logs it; keeps
// workers running if asked to. docs/man/outlive-supervise.1.scd
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>
#include <outlive/live_stack.hpp>
#include <outlive/segment_view.hpp>
#include <outlive/supervisor.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "inspect.hpp"
#include "process.hpp"
#include "repairs.hpp"
#include "supervise/log.hpp"
#include "supervise/notify.hpp"
#include "supervise/workers.hpp"

namespace commands {

namespace {

using clock = std::chrono::steady_clock;

struct supervise_settings {
  std::string segment;
  std::string repairs;
  std::chrono::nanoseconds hung{};  // 0: not reported
  std::size_t respawn = 0;
  std::vector<std::string> command;
};

constexpr std::chrono::seconds segment_timeout(10);  // for the workers, to make the segment

// How long to poll: until a start or a message to the watchdog is due.
int milliseconds_until(std::optional<clock::time_point> start,
                       std::optional<clock::time_point> watchdog) {
  if (!start && !watchdog) return -1;
  const auto next = start && watchdog ? std::min(*start, *watchdog) : start ? *start : *watchdog;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, 3'600'000));
}

// Returns: nothing if it is not there, and workers may make it.
std::optional<outlive::segment> open_if_there(const supervise_settings& wanted) {
  try {
    return repairs::open_segment(wanted.segment);
  } catch (const std::system_error& error) {
    if (wanted.respawn == 0 || error.code() != outlive::errc::not_found) throw;
    return std::nullopt;
  }
}

// Waits for the segment, which the workers may create. Returns: nothing if the command was asked to
// end before there was one.
std::optional<outlive::segment> open_when_there(const supervise_settings& wanted,
                                                supervise::worker_pool& workers,
                                                signals& incoming) {
  constexpr std::chrono::milliseconds slice(20);
  const auto give_up = clock::now() + segment_timeout;
  while (incoming.ending() == 0) {
    workers.maintain();
    if (clock::now() >= give_up) return repairs::open_segment(wanted.segment);
    if (auto found = open_if_there(wanted)) return found;
    incoming.pause(slice);
  }
  return std::nullopt;
}

// Only sweeps show how long a mutex is held.
outlive::supervisor_options options_for(const supervise_settings& wanted) {
  outlive::supervisor_options options;
  options.stacks = outlive::live_stack;
  if (wanted.hung.count() > 0) {
    const auto quarter = std::chrono::duration_cast<std::chrono::milliseconds>(wanted.hung / 4);
    options.sweep = std::clamp(quarter, std::chrono::milliseconds(10), options.sweep);
  }
  return options;
}

// An event that cannot be described, for want of memory or because of a damaged program file, ends
// nothing.
template <class Event>
std::function<void(const Event&)> logged_by(const supervise::event_log& log) {
  return [&log](const Event& event) {
    try {
      log.write(event);
    } catch (const std::exception& error) {
      log.report_error(fmt::format("{} (its details: {})", to_string(event), error.what()));
    }
  };
}

void set_callbacks(outlive::supervisor& watch, const supervise_settings& wanted,
                   const supervise::event_log& log) {
  watch.on_death(logged_by<outlive::participant_death>(log));
  watch.on_deadlock(logged_by<outlive::deadlock>(log));
  watch.on_name_lost(logged_by<outlive::lost_name>(log));
  watch.on_error([&log](const std::system_error& error) { log.report_error(error.what()); });
  if (wanted.hung.count() == 0) return;
  watch.on_hung(std::chrono::ceil<std::chrono::milliseconds>(wanted.hung),
                logged_by<outlive::hung_owner>(log));
}

// A process that opens that name from now on gets another segment, or none.
bool is_abandoned(const outlive::segment_view& view, const outlive::supervisor& watch) {
  return watch.watched() == 0 && !view.has_name();
}

// Returns: the exit code.
int watch_until_the_end(const outlive::segment& segment, outlive::supervisor& watch,
                        supervise::worker_pool& workers, signals& incoming,
                        const supervise::service_manager& manager,
                        const supervise::event_log& log) {
  const outlive::segment_view view(segment);
  // Twice in the time that the manager allows, and only from this loop: if the loop hangs, the
  // manager must notice.
  std::optional<clock::time_point> next_keepalive;
  if (manager.watchdog()) next_keepalive = clock::now();
  for (;;) {
    if (next_keepalive && clock::now() >= *next_keepalive) {
      manager.notify("WATCHDOG=1");
      next_keepalive = clock::now() + *manager.watchdog() / 2;
    }
    workers.maintain([&] { watch.dispatch(); });
    pollfd ready[] = {{incoming.fd(), POLLIN, 0}, {watch.fd(), POLLIN, 0}};
    if (::poll(ready, 2, milliseconds_until(workers.next_start(), next_keepalive)) < 0 &&
        errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    if (ready[1].revents != 0) watch.dispatch();
    incoming.wait({});
    if (incoming.ending() != 0) return success;
    if (is_abandoned(view, watch)) {
      log.report_error(
          fmt::format("segment \"{}\": it has no name any more, and nobody uses it", view.name()));
      return problem_found;
    }
  }
}

int supervise_command(const supervise_settings& wanted) {
  signals incoming;
  const supervise::service_manager manager;
  const supervise::event_log log;
  // The repairs come before the workers: a library that does not load starts none, and what a
  // former run left is repaired before they meet it. Only a segment that they make must wait.
  if (!wanted.repairs.empty()) repairs::open(wanted.repairs);
  supervise::worker_pool workers(wanted.respawn, wanted.command, log);
  auto segment = open_if_there(wanted);
  if (!segment) segment = open_when_there(wanted, workers, incoming);
  if (!segment) return success;
  const auto plugin = repairs::load(*segment, wanted.repairs);
  outlive::supervisor watch(*segment, options_for(wanted));
  set_callbacks(watch, wanted, log);
  watch.dispatch();
  workers.maintain();

  manager.notify("READY=1");
  const int result = watch_until_the_end(*segment, watch, workers, incoming, manager, log);
  manager.notify("STOPPING=1");
  workers.end([&] { watch.dispatch(); });  // what the workers left behind
  return result;
}

}  // namespace

void add_supervise(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("supervise", "Watch a segment and recover at once what the dead held");
  const auto wanted = std::make_shared<supervise_settings>();
  inspect::add_segment_argument(command, wanted->segment);
  repairs::add_option(command, wanted->repairs);
  add_duration_option(command, "--hung", wanted->hung,
                      "Also report owners that have held a mutex for this long, for example 30s");
  auto* const respawn =
      command
          .add_option("--respawn", wanted->respawn,
                      "Keep N copies of a program running: --respawn N -- PROGRAM [ARGS...]")
          ->type_name("N")
          ->check(CLI::Range(1, 1024));
  command.add_option("command", wanted->command, "The program and its arguments")
      ->type_name("-- PROGRAM [ARGS...]")
      ->needs(respawn);
  command.callback([wanted, &exit_code] {
    const bool too_short =
        wanted->hung.count() != 0 && wanted->hung < std::chrono::milliseconds(10);
    if (too_short) throw CLI::ValidationError("--hung", "must be at least 10ms");
    if (wanted->respawn != 0 && wanted->command.empty())
      throw CLI::ValidationError("--respawn", "requires a program after --");
    exit_code = supervise_command(*wanted);
  });
}

}  // namespace commands
