#include "metrics/figures.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "companions.hpp"
#include "inspect.hpp"
#include "metrics/exposition.hpp"

namespace metrics {

namespace {

// The figures of several segments. The format wants all lines of a figure in one place.
class figures {
 public:
  explicit figures(const samples& of) : of_(of) {}

  // Begins a figure, and calls add(sample, line) for each segment that can be read; line(value,
  // labels) adds a line.
  template <class Add>
  void each(std::string_view name, std::string_view kind, std::string_view help, Add add) {
    text_.begin(name, kind, help);
    for (const auto& one : of_) {
      if (!one->view) continue;
      add(*one, [&](double value, const labels& more = {}) {
        labels all{{"segment", one->segment}};
        all.insert(all.end(), more.begin(), more.end());
        text_.add(value, all);
      });
    }
  }
  // A figure of one line.
  template <class Value>
  void one(std::string_view name, std::string_view kind, std::string_view help, Value value) {
    each(name, kind, help,
         [&](const sample& from, const auto& line) { line(static_cast<double>(value(from))); });
  }
  void add_readable() {
    text_.begin("outlive_segment_readable", "gauge",
                "1 if the segment could be read; 0 if it is damaged or of another version.");
    for (const auto& one : of_) text_.add(one->view ? 1 : 0, {{"segment", one->segment}});
  }
  [[nodiscard]] const std::string& text() const noexcept { return text_.all(); }

 private:
  const samples& of_;
  exposition text_;
};

template <class Lines, class Line>
void add_living_and_dead(const Lines& lines, const Line& line) {
  const auto alive = inspect::count_alive(lines);
  line(static_cast<double>(alive), {{"state", "alive"}});
  line(static_cast<double>(lines.size()) - static_cast<double>(alive), {{"state", "dead"}});
}

template <class Line>
void add_locks(const show::snapshot& snap, const Line& line) {
  std::map<std::string, double> counts;
  for (const std::string_view state : show::states) counts[std::string(state)] = 0;
  for (const auto& lock : snap.locks) ++counts[show::state_of(lock)];
  for (const auto& [state, count] : counts) line(count, {{"state", state}});
}

template <class Line>
void add_log(const std::vector<outlive::logged_death>& deaths, const Line& line) {
  using outlive::death_outcome;
  for (const auto outcome :
       {death_outcome::repairing, death_outcome::repaired, death_outcome::failed,
        death_outcome::unrepaired, death_outcome::not_recoverable}) {
    const auto count = std::count_if(deaths.begin(), deaths.end(),
                                     [&](const auto& each) { return each.outcome == outcome; });
    line(static_cast<double>(count), {{"outcome", std::string(to_string(outcome))}});
  }
}

std::vector<double> repair_times(const std::vector<outlive::logged_death>& deaths) {
  std::vector<double> times;
  for (const auto& death : deaths) {
    if (death.repair_time.count() != 0)
      times.push_back(std::chrono::duration<double>(death.repair_time).count());
  }
  return times;
}

template <class Line>
void add_repair_counts(const std::vector<double>& times, const Line& line) {
  constexpr std::array<std::pair<double, std::string_view>, 7> limits{{{1e-5, "1e-05"},
                                                                       {1e-4, "0.0001"},
                                                                       {1e-3, "0.001"},
                                                                       {1e-2, "0.01"},
                                                                       {1e-1, "0.1"},
                                                                       {1, "1.0"},
                                                                       {10, "10.0"}}};
  for (const auto& [seconds, text] : limits) {
    const auto count = std::count_if(times.begin(), times.end(),
                                     [limit = seconds](double each) { return each <= limit; });
    line(static_cast<double>(count), {{"up_to_seconds", std::string(text)}});
  }
  line(static_cast<double>(times.size()), {{"up_to_seconds", "+Inf"}});
}

// The log forgets, so these figures go down when an old death makes room. They are gauges, not a
// histogram: Prometheus takes a fall of a histogram for a restart.
void add_death_log(figures& to) {
  to.each("outlive_death_log_entries", "gauge",
          "Owner deaths in the death log, which keeps the last 256, by outcome.",
          [](const sample& from, const auto& line) { add_log(from.deaths, line); });
  to.each("outlive_death_log_repairs", "gauge",
          "Repairs in the death log that ended within this many seconds.",
          [](const sample& from, const auto& line) {
            add_repair_counts(repair_times(from.deaths), line);
          });
  to.one("outlive_death_log_repair_seconds", "gauge",
         "Total duration of the repairs in the death log.", [](const sample& from) {
           const auto times = repair_times(from.deaths);
           return std::accumulate(times.begin(), times.end(), 0.0);
         });
  to.one("outlive_death_log_longest_repair_seconds", "gauge",
         "Duration of the longest repair in the death log.", [](const sample& from) {
           const auto times = repair_times(from.deaths);
           return times.empty() ? 0 : *std::max_element(times.begin(), times.end());
         });
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

// A figure of each queue.
template <class Value>
void add_of_queues(figures& to, std::string_view name, std::string_view help, Value value) {
  to.each(name, "gauge", help, [&](const sample& from, const auto& line) {
    for (const auto& each : from.snap.companions.queues) {
      line(static_cast<double>(value(each, from.snap.companions)),
           {{"queue", companions::name_of(each)}});
    }
  });
}

void add_companions(figures& to) {
  using outlive::viewed_queue;
  to.each("outlive_queue_jobs", "gauge", "Jobs of a work queue by state.",
          [](const sample& from, const auto& line) {
            for (const viewed_queue& each : from.snap.companions.queues) {
              const std::string name = companions::name_of(each);
              line(each.waiting, {{"queue", name}, {"state", "waiting"}});
              line(each.leased, {{"queue", name}, {"state", "leased"}});
              line(each.dead_letters, {{"queue", name}, {"state", "dead letter"}});
            }
          });
  add_of_queues(to, "outlive_queue_capacity", "Slots of a work queue.",
                [](const viewed_queue& each, const auto&) { return each.capacity; });
  add_of_queues(to, "outlive_queue_closed", "1 if a work queue is closed.",
                [](const viewed_queue& each, const auto&) { return each.closed ? 1 : 0; });
  add_of_queues(to, "outlive_queue_hung_leases", "Jobs that were leased for the whole sample.",
                [](const viewed_queue& each, const companions::look& in) {
                  return companions::count_hung(each, in);
                });
  add_of_queues(to, "outlive_queue_oldest_lease_pid",
                "Process that has had its job for the longest; 0 if no job is leased.",
                [](const viewed_queue& each, const companions::look& in) {
                  const auto oldest = companions::oldest_lease(each, in);
                  return oldest.job == nullptr ? 0 : oldest.job->holder.pid;
                });
  to.each("outlive_permits", "gauge", "Permits of a pool; those of dead threads are free.",
          [](const sample& from, const auto& line) {
            for (const auto& each : from.snap.companions.pools) {
              const std::string name = companions::name_of(each);
              line(each.free, {{"pool", name}, {"state", "free"}});
              line(each.permits - each.free, {{"pool", name}, {"state", "held"}});
            }
          });
}

}  // namespace

std::string figures_of(const samples& of) {
  figures to(of);
  to.add_readable();
  to.one("outlive_segment_bytes", "gauge", "Size of the segment.",
         [](const sample& from) { return from.snap.size; });
  to.each("outlive_participants", "gauge",
          "Processes attached to the segment; dead ones stay until another process needs their "
          "place.",
          [](const sample& from, const auto& line) {
            add_living_and_dead(from.snap.participants, line);
          });
  to.each(
      "outlive_threads", "gauge",
      "Threads with a record; dead ones stay as long as a mutex names them.",
      [](const sample& from, const auto& line) { add_living_and_dead(from.snap.threads, line); });
  to.one("outlive_waiting_threads", "gauge", "Threads waiting for a mutex.",
         [](const sample& from) { return inspect::count_waiting(from.snap.threads); });
  to.one("outlive_hung_threads", "gauge",
         "Threads that held the same mutex, and acquired no other, for the whole sample.",
         [](const sample& from) { return hung(from.snap); });
  to.one("outlive_objects", "gauge", "Objects in the directory.",
         [](const sample& from) { return from.snap.objects; });
  to.each("outlive_locks", "gauge", "Mutexes by state.",
          [](const sample& from, const auto& line) { add_locks(from.snap, line); });
  to.one("outlive_owner_deaths_total", "counter",
         "Owner deaths met since the segment was created, each once.",
         [](const sample& from) { return from.snap.deaths; });
  to.one("outlive_owner_death_meetings_total", "counter",
         "How often an owner death was met: again as long as it was not repaired.",
         [](const sample& from) { return from.snap.meetings; });
  to.one("outlive_pending_owner_deaths", "gauge",
         "Mutexes that dead threads still hold: owner deaths that nobody has met yet.",
         [](const sample& from) { return from.snap.pending; });
  add_death_log(to);
  add_companions(to);
  return to.text();
}

}  // namespace metrics
