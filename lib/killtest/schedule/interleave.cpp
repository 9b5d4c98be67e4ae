// interleave(): runs schedules until none is left, or one fails.
#include <outlive/killtest/interleave.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <ios>
#include <iterator>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <utility>

#include "killtest/process/child_process.hpp"
#include "killtest/report/report_text.hpp"
#include "killtest/schedule/call_trap.hpp"
#include "killtest/schedule/schedule.hpp"
#include "killtest/schedule/schedule_run.hpp"
#include "killtest/schedule/schedule_search.hpp"
#include "killtest/stacks/process_stacks.hpp"

namespace outlive::killtest {

using namespace detail;

namespace {

constexpr std::size_t most_steps = 40;  // that a report shows
constexpr const char* schedule_variable = "OUTLIVE_KILLTEST_SCHEDULE";

void check(const concurrent_scenario& what) {
  const auto require = [&](bool holds, const std::string& why) {
    if (!holds) throw std::invalid_argument(what.name + ": " + why);
  };
  require(!what.threads.empty() && what.threads.size() <= max_scheduled,
          "found " + std::to_string(what.threads.size()) + " threads, expected 1 to " +
              std::to_string(max_scheduled));
  for (const scheduled_thread& each : what.threads)
    require(static_cast<bool>(each.run),
            "found no function of the thread \"" + each.name + "\", expected one");
}

// The command line of this program.
std::string command_of_this_process() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::string text;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\0', at), all.size());
    text += (text.empty() ? "" : " ") + quoted_for_shell(all.substr(at, end - at));
    at = end + 1;
  }
  return text;
}

// The one schedule that is asked for.
std::optional<schedule> only_one(const concurrent_scenario& what, const interleave_options& how) {
  if (!how.only.empty()) return schedule_from(how.only);
  const char* const text = std::getenv(schedule_variable);
  const std::string prefix = what.name + ": ";
  if (text == nullptr || !std::string_view(text).starts_with(prefix)) return std::nullopt;
  return schedule_from(std::string_view(text).substr(prefix.size()));
}

// `from`: where the thread had stopped before; empty at its begin.
std::string step_text(const concurrent_scenario& what, const run_slice& slice,
                      const std::string& from, process_stacks& names) {
  std::string text = what.threads[slice.thread].name + from;
  switch (slice.end) {
    case stop_reason::paused: text += " is preempted"; break;
    case stop_reason::waits: text += " waits"; break;
    case stop_reason::wakes: text += " wakes another thread"; break;
    case stop_reason::yields: text += " yields"; break;
    case stop_reason::dies:
      text += slice.until == to_its_end ? " dies while it waits" : " dies";
      break;
    case stop_reason::ends: return text + " comes to its end";
    default: text += " stops"; break;
  }
  if (slice.stack.empty()) return text;
  return text + " at " + to_string(names.describe(slice.stack));
}

class run_of_all {
 public:
  run_of_all(const concurrent_scenario& what, const interleave_options& how, segment& seg)
      : what_(what), how_(how), runner_(what, how, seg), search_(what, how, seg.size_bytes()) {
    report_.scenario = what.name;
  }

  interleave_report run() {
    const on_one_cpu turns;
    if (const char* const why = why_no_call_trap()) {
      report_.fault = why;
      return std::move(report_);
    }
    if (const auto only = only_one(what_, how_)) {
      static_cast<void>(passes({.steps = *only}));
      report_.fault = diverged_;
      return std::move(report_);
    }
    while (const auto planned = search_.next()) {
      if (report_.schedules == how_.max_schedules) {
        say_what_is_left(planned->switches());
        break;
      }
      if (!passes(*planned)) break;
    }
    return std::move(report_);
  }

 private:
  bool passes(const planned_schedule& planned) {
    const schedule_result made = runner_.run(planned.steps);
    ++report_.schedules;
    if (report_.by_switches.size() <= planned.switches())
      report_.by_switches.resize(planned.switches() + 1);
    ++report_.by_switches[planned.switches()];
    report_.accesses += runner_.points().size();
    report_.time_outs += made.time_outs;
    report_.helped_by_time_out += made.helped;
    for (const run_slice& each : made.slices) {
      if (each.end != stop_reason::dies) continue;
      ++report_.deaths;
      break;
    }
    if (!made.fault.empty()) {
      report_.fault = made.fault;
      report_.schedule = text_of(planned.steps);
      return false;
    }
    if (made.found != schedule_fault::none) {
      report_failure(planned.steps, made);
      return false;
    }
    diverged_ = made.diverged;
    if (diverged_.empty()) {
      search_.learn(planned, made.slices, runner_.points());
    } else {
      ++report_.diverged;
    }
    return true;
  }

  void report_failure(const schedule& steps, const schedule_result& first) {
    const schedule_result made = runner_.run(steps, true);
    report_.found = first.found;
    report_.what = made.found == first.found
                       ? made.what
                       : first.what + "; a second run of the same schedule did not show it";
    report_.schedule = text_of(steps);
    process_stacks names;
    std::vector<std::string> stopped(what_.threads.size());
    for (std::size_t i = 0; i < made.slices.size(); ++i) {
      if (i == most_steps / 2 && made.slices.size() > most_steps) {
        i = made.slices.size() - most_steps / 2;
        report_.steps.push_back("... (" + counted(i - most_steps / 2, "step") + ')');
      }
      const run_slice& slice = made.slices[i];
      report_.steps.push_back(step_text(what_, slice, stopped[slice.thread], names));
      const auto frames = names.describe(slice.stack);
      if (!frames.empty()) stopped[slice.thread] = ", from " + place(frames.front()) + ',';
    }
    report_.command = std::string(schedule_variable) + '=' +
                      quoted_for_shell(what_.name + ": " + report_.schedule) + ' ' +
                      command_of_this_process();
  }

  void say_what_is_left(std::size_t level) {
    std::vector<std::size_t> left = search_.left();
    ++left[level];  // the one that was taken out
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (left[i] == 0) continue;
      report_.cut += (report_.cut.empty() ? "" : ", ") + counted(left[i], "schedule") + " with " +
                     std::to_string(i) + " preemptions and deaths";
    }
    report_.cut += ", and those that come of them (max_schedules)";
  }

  const concurrent_scenario& what_;
  const interleave_options& how_;
  schedule_run runner_;
  schedule_search search_;
  interleave_report report_;
  std::string diverged_;  // of the last run
};

}  // namespace

std::string_view to_string(schedule_fault which) noexcept {
  switch (which) {
    case schedule_fault::none: return "none";
    case schedule_fault::invariant_violated: return "invariant violated";
    case schedule_fault::not_exclusive: return "not exclusive";
    case schedule_fault::lost_wake_up: return "lost wake-up";
    case schedule_fault::waits_for_ever: return "waits for ever";
    case schedule_fault::runs_for_ever: return "runs for ever";
    case schedule_fault::threw: return "a thread threw";
    case schedule_fault::crashed: return "a thread crashed";
    case schedule_fault::repair_failed: return "repair failed";
  }
  return "unknown";
}

interleave_report interleave(const concurrent_scenario& what, const interleave_options& how) {
  check(what);
  segment seg = segment::anonymous(what.options);
  if (what.make) what.make(seg);
  return run_of_all(what, how, seg).run();
}

bool interleave_report::ok() const noexcept {
  return fault.empty() && found == schedule_fault::none && schedules != 0;
}

std::string interleave_report::summary() const {
  std::string text = scenario + ": ";
  if (!fault.empty()) {
    text += "could not be run: " + fault + '\n';
    if (!schedule.empty()) text += "  in the schedule: " + schedule + '\n';
    return text;
  }
  text += counted(schedules, "schedule");
  for (std::size_t i = 0; i < by_switches.size(); ++i)
    text += (i == 0 ? " (" : ", ") + std::to_string(by_switches[i]) + " with " + std::to_string(i);
  text += by_switches.empty() ? "" : " preemptions and deaths)";
  text += ", " + std::to_string(accesses) + " accesses; a thread died in " +
          std::to_string(deaths) + "; " + counted(time_outs, "time-out") + ", " +
          std::to_string(helped_by_time_out) + " of threads that nobody woke" +
          (found == schedule_fault::none ? ": ok\n" : ": FAILED\n");
  if (found != schedule_fault::none) {
    text += "  " + std::string(to_string(found)) + ": " + what + '\n';
    text += "  the schedule \"" + schedule + "\":\n";
    for (const std::string& each : steps) text += "    " + each + '\n';
    text += "  to run it alone: " + command + '\n';
  }
  if (diverged != 0)
    text += "  " + counted(diverged, "schedule") +
            " did not fit: a thread did something else than in the run that they come from\n";
  if (!cut.empty()) text += "  left out: " + cut + '\n';
  return text;
}

std::ostream& operator<<(std::ostream& to, const interleave_report& what) {
  return to << what.summary();
}

}  // namespace outlive::killtest
