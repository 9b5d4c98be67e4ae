// outlive metrics: a segment's figures for Prometheus. docs/man/outlive-metrics.1.scd
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <numeric>
#include <thread>

#include <CLI/CLI.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "inspect.hpp"
#include "metrics/exposition.hpp"
#include "show/tables.hpp"

namespace commands {

namespace {

template <class Lines>
void add_living_and_dead(metrics::exposition& to, const Lines& lines) {
  const auto alive = inspect::count_alive(lines);
  to.add(static_cast<double>(alive), {{"state", "alive"}});
  to.add(static_cast<double>(lines.size()) - static_cast<double>(alive), {{"state", "dead"}});
}

void add_locks(metrics::exposition& to, const show::snapshot& snap) {
  std::map<std::string, double> counts;
  for (const std::string_view state : show::states) counts[std::string(state)] = 0;
  for (const auto& lock : snap.locks) ++counts[show::state_of(lock)];
  for (const auto& [state, count] : counts) to.add(count, {{"state", state}});
}

void add_log(metrics::exposition& to, const std::vector<outlive::logged_death>& deaths) {
  using outlive::death_outcome;
  for (const auto outcome :
       {death_outcome::repairing, death_outcome::repaired, death_outcome::failed,
        death_outcome::unrepaired, death_outcome::not_recoverable}) {
    const auto count = std::count_if(deaths.begin(), deaths.end(),
                                     [&](const auto& each) { return each.outcome == outcome; });
    to.add(static_cast<double>(count), {{"outcome", to_string(outcome)}});
  }
}

// The log forgets, so these figures go down when an old death makes room. They are gauges, not a
// histogram: Prometheus takes a fall of a histogram for a restart.
void add_repair_times(metrics::exposition& to, const std::vector<outlive::logged_death>& deaths) {
  constexpr std::array<std::pair<double, std::string_view>, 7> limits{{{1e-5, "1e-05"},
                                                                       {1e-4, "0.0001"},
                                                                       {1e-3, "0.001"},
                                                                       {1e-2, "0.01"},
                                                                       {1e-1, "0.1"},
                                                                       {1, "1.0"},
                                                                       {10, "10.0"}}};
  std::vector<double> times;
  for (const auto& death : deaths) {
    if (death.repair_time.count() != 0)
      times.push_back(std::chrono::duration<double>(death.repair_time).count());
  }
  to.begin("outlive_death_log_repairs", "gauge",
           "Repairs in the death log that ended within this many seconds.");
  for (const auto& [seconds, text] : limits) {
    const auto count = std::count_if(times.begin(), times.end(),
                                     [limit = seconds](double each) { return each <= limit; });
    to.add(static_cast<double>(count), {{"up_to_seconds", text}});
  }
  to.add(static_cast<double>(times.size()), {{"up_to_seconds", "+Inf"}});
  to.begin("outlive_death_log_repair_seconds", "gauge",
           "Total duration of the repairs in the death log.");
  to.add(std::accumulate(times.begin(), times.end(), 0.0));
  to.begin("outlive_death_log_longest_repair_seconds", "gauge",
           "Duration of the longest repair in the death log.");
  to.add(times.empty() ? 0 : *std::max_element(times.begin(), times.end()));
}

// Living threads that held the same mutex at both looks and acquired none in between.
double hung(const show::snapshot& snap) {
  return static_cast<double>(
      std::count_if(snap.threads.begin(), snap.threads.end(), [&](const auto& thread) {
        return thread.alive &&
               std::any_of(thread.in_hand.begin(), thread.in_hand.end(), [&](const auto& hold) {
                 return snap.holds.held_for(thread, hold.mutex_offset).has_value();
               });
      }));
}

std::string figures_of(const show::snapshot& snap,
                       const std::vector<outlive::logged_death>& deaths) {
  metrics::exposition text({{"segment", snap.name}});
  text.begin("outlive_segment_bytes", "gauge", "Size of the segment.");
  text.add(static_cast<double>(snap.size));
  text.begin(
      "outlive_participants", "gauge",
      "Processes attached to the segment; dead ones stay until another process needs their place.");
  add_living_and_dead(text, snap.participants);
  text.begin("outlive_threads", "gauge",
             "Threads with a record; dead ones stay as long as a mutex names them.");
  add_living_and_dead(text, snap.threads);
  text.begin("outlive_waiting_threads", "gauge", "Threads waiting for a mutex.");
  text.add(static_cast<double>(inspect::count_waiting(snap.threads)));
  text.begin("outlive_hung_threads", "gauge",
             "Threads that held the same mutex, and acquired no other, for the whole sample.");
  text.add(hung(snap));
  text.begin("outlive_objects", "gauge", "Objects in the directory.");
  text.add(snap.objects);
  text.begin("outlive_locks", "gauge", "Mutexes by state.");
  add_locks(text, snap);
  text.begin("outlive_owner_deaths_total", "counter",
             "Owner deaths met since the segment was created.");
  text.add(static_cast<double>(snap.deaths));
  text.begin("outlive_death_log_entries", "gauge",
             "Owner deaths in the death log, which keeps the last 256, by outcome.");
  add_log(text, deaths);
  add_repair_times(text, deaths);
  return text.all();
}

int metrics_command(const std::string& segment, std::chrono::nanoseconds sample) {
  const outlive::segment_view view = inspect::open(segment);
  show::snapshot snap;
  snap.holds.update(view.threads(), std::chrono::steady_clock::now());
  std::this_thread::sleep_for(sample);
  snap.read(view);
  write_result(figures_of(snap, view.deaths()));
  return success;
}

}  // namespace

void add_metrics(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("metrics", "Print a segment's figures in the text format of Prometheus");
  const auto segment = std::make_shared<std::string>();
  const auto sample = std::make_shared<std::chrono::nanoseconds>(std::chrono::seconds(1));
  inspect::add_segment_argument(command, *segment);
  add_duration_option(command, "--sample", *sample,
                      "A thread that holds a mutex for this long counts as hung [1s]");
  command.callback([=, &exit_code] { exit_code = metrics_command(*segment, *sample); });
}

}  // namespace commands
