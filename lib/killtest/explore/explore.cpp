// explore(): the search through every crash state of a scenario. A class, explorer, has one run:
//
//   start      the survivor claims its thread record, in the state without any death (survivor/)
//   record     the victim runs without a log, then with one; both must agree (checked_logs.hpp)
//   explore    for each place in the log, the bytes after a death there (state/timeline.hpp)
//              a state whose hash is new goes to the survivor, which recovers and judges it
//   nest       where the survivor recovered something, it is logged as an heir, and dies after
//              each of its stores, too: the same loop over another log; where there are several
//              mutexes to repair, so is an heir of each alone
//   confirm    failing states, and a sample of the others, by real SIGKILLs (real_kills.hpp)
//   report     images of failing states; stacks as functions and lines (found_states.hpp)
//
// A chain of deaths names a state: the victim's place in its log, then those of heirs in theirs.
#include <outlive/killtest/explore.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include "format/object_layout.hpp"
#include "killtest/explore/checked_logs.hpp"
#include "killtest/explore/found_states.hpp"
#include "killtest/explore/lock_coverage.hpp"
#include "killtest/explore/omission_trials.hpp"
#include "killtest/explore/real_kills.hpp"
#include "killtest/explore/unexplored_parts.hpp"
#include "killtest/explore/unsaved_stores.hpp"
#include "killtest/process/child_process.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/state/timeline.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/survivors.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest {

namespace detail {

namespace {

template <class Value>
bool contains(const std::vector<Value>& all, const Value& value) {
  return std::find(all.begin(), all.end(), value) != all.end();
}

// The one of these mutexes (offsets) whose state the log changes first.
std::optional<std::uint64_t> first_changed(const recording& log,
                                           const std::vector<std::uint64_t>& mutexes) {
  for (std::size_t i = log.setup; i < log.stores.size(); ++i) {
    const std::uint64_t begin = log.stores[i].offset;
    const std::uint64_t end = begin + log.stores[i].size;
    for (const std::uint64_t each : mutexes) {
      const std::uint64_t state = each + offsetof(outlive::detail::lock_bytes, state);
      if (begin < state + sizeof(std::uint64_t) && state < end) return each;
    }
  }
  return std::nullopt;
}

// The hash of the same state with all attempts but the last used up.
constexpr std::uint64_t at_last_attempt(std::uint64_t hash) noexcept {
  return hash ^ 0xa77e3b75a57a77e3;
}

std::chrono::milliseconds budget_of(const explore_options& how) {
  const char* const given = std::getenv("OUTLIVE_KILLTEST_BUDGET");
  if (given == nullptr) return how.budget;
  char* end = nullptr;
  const double seconds = std::strtod(given, &end);
  if (end == given || *end != 0 || !(seconds >= 0 && seconds < 1e9))
    throw std::invalid_argument("OUTLIVE_KILLTEST_BUDGET: found \"" + std::string(given) +
                                "\", expected a number of seconds");
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

// Starts the heirs' process. Returns: the state in which it has its thread record, and nobody died.
timeline begin(survivors& heirs, const scenario& what, segment& seg) {
  heirs.start();
  timeline made(base_of(seg), seg.size_bytes());
  if (what.ignored) {
    for (const auto& bytes : what.ignored(seg)) made.ignore(bytes);
  }
  return made;
}

class explorer {
 public:
  explorer(const scenario& what, const explore_options& how, segment& seg);
  [[nodiscard]] report run();

 private:
  void check_end(const std::shared_ptr<const recording>& victim);
  void check_change(const recording& victim);

  // All deaths in the tested part of the log, after those of `before`.
  void explore_log(const death_chain& before, const std::shared_ptr<const recording>& log);
  void look_at(const death_chain& deaths);
  void explore_heirs();
  std::shared_ptr<const recording> explore_heir(const death_chain& after,
                                                std::optional<std::uint64_t> alone);
  void try_last_attempts();
  [[nodiscard]] bool is_over();
  void replace_survivor_if_gone();

  void keep_only_one();
  void confirm_some();
  void cut(const std::string& what);
  void show_progress();

  const scenario& what_;
  const explore_options& how_;
  segment& seg_;
  report report_;
  const on_one_cpu turns_;
  survivors survivors_;
  timeline timeline_;
  checked_logs logs_;
  found_states found_;
  std::unordered_set<std::uint64_t> seen_;
  std::optional<omission_trials> omissions_;
  lock_coverage coverage_;
  std::deque<std::size_t> to_nest_;  // indexes of states
  std::size_t hung_ = 0;
  bool over_ = false;
  std::chrono::milliseconds budget_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = began_;
  bool line_shown_ = false;
};

explorer::explorer(const scenario& what, const explore_options& how, segment& seg)
    : what_(what),
      how_(how),
      seg_(seg),
      survivors_(what, seg, how.isolate, how.time_limit),
      timeline_(begin(survivors_, what, seg)),
      logs_(what, how, seg, timeline_, report_),
      found_(seg, report_),
      coverage_(seg, how),
      budget_(budget_of(how)) {
  report_.scenario = what.name;
}

report explorer::run() {
  const auto victim = logs_.record_victim();
  if (report_.fault.empty()) {
    report_.stores = victim->stores.size() - victim->setup;
    check_end(victim);
    if (coverage_.is_wanted())
      coverage_.follow(workload_of_victim(what_, how_, seg_), "the victim");
    explore_log({}, victim);
    // What passes without a part proves nothing about that part.
    const bool tries = report_.failed() == 0 && how_.only_state == 0;
    if (tries) omissions_.emplace(seg_, survivors_, timeline_, [this] { return is_over(); });
    if (tries) report_.made_no_difference = omissions_->needless_repairs(found_.chains());
    if (tries) omissions_->try_barriers({}, victim);
    try_last_attempts();
    explore_heirs();
    if (tries && report_.failed() == 0)
      omissions_->add_needless_barriers(report_.made_no_difference);
    check_change(*victim);
  }
  if (report_.fault.empty() && how_.only_state != 0) keep_only_one();
  if (report_.fault.empty()) {
    confirm_some();
    if (!how_.images.empty()) found_.write_images(how_.images, timeline_);
  }
  if (coverage_.is_wanted()) coverage_.write(report_);
  report_.used = logs_.by().chosen();
  timeline_.seek({});
  if (how_.sources || report_.failed() != 0) found_.describe_stacks();
  if (line_shown_) std::fputs("\r\x1b[K", stderr);
  report_.took = std::chrono::steady_clock::now() - began_;
  return report_;
}

// Nobody will release what the victim still holds at its end.
void explorer::check_end(const std::shared_ptr<const recording>& victim) {
  for (const std::uint64_t offset : victim->held[victim->held_at_end]) {
    if (contains(victim->held[victim->held_at_start], offset)) continue;
    if (!contains(timeline_.mutexes(), offset)) continue;
    // Nobody died: there is no store to show, and no kill to confirm.
    found_.add({}, 0,
               {verdict::lock_never_released,
                "the victim came to its end and still holds mutex " + name_of(seg_, offset), 0, 0});
    return;
  }
}

// States that come out well prove nothing if the victim never came to its change. outlive itself is
// explored by what it does without the user's bytes.
void explorer::check_change(const recording& victim) {
  if (how_.own_records || how_.from_first_use || report_.failed() != 0) return;
  if (!report_.fault.empty() || timeline_.changes_objects(victim)) return;
  report_.fault = "nothing of yours was changed: all " +
                  std::to_string(victim.stores.size() - victim.setup) +
                  " stores of the victim went into locks and outlive's own records, so nothing is "
                  "proved; does the victim come to its change?";
}

// ---- the search --------------------------------------------------------------------------------

bool explorer::is_over() {
  if (over_) return true;
  // a fault of an heir, too: there would be a new state in each run
  if (report_.only_one || !report_.fault.empty()) return over_ = true;
  if (report_.states.size() >= how_.max_states) {
    cut("what comes after " + std::to_string(how_.max_states) + " states (max_states)");
  } else if (budget_.count() != 0 && std::chrono::steady_clock::now() - began_ >= budget_) {
    cut("what comes after " + std::to_string(budget_.count()) + " ms (budget): " +
        (found_.size() == 0 || found_.chains().back().size() <= 1
             ? "deaths of the victim, and all deaths of heirs"
             : "deaths of heirs, after " + std::to_string(to_nest_.size()) + " states or more"));
  } else if (hung_ >= how_.max_hung) {
    cut("what comes after " + std::to_string(how_.max_hung) + " states whose heir hung (max_hung)");
  } else {
    return false;
  }
  over_ = true;
  return true;
}

void explorer::cut(const std::string& what) {
  if (!contains(report_.cut, what)) report_.cut.push_back(what);
}

void explorer::explore_log(const death_chain& before, const std::shared_ptr<const recording>& log) {
  timeline_.learn_locks(*log);
  if (timeline_.mutexes().size() > survivors::max_mutexes)
    cut("whether mutexes after the first " + std::to_string(survivors::max_mutexes) +
        " can be acquired");
  for (const std::string& each : unexplored_parts(*log)) cut(each);
  for (const std::string& each : unsaved_stores(seg_, timeline_, *log)) {
    if (!contains(report_.unsaved, each)) report_.unsaved.push_back(each);
  }
  death_chain deaths = before;
  deaths.emplace_back();
  const auto look = [&](std::size_t stores, std::uint32_t held, bool before_next) {
    deaths.back() = {log, stores, held, before_next};
    ++(before.empty() ? report_.points : report_.nested_points);
    found_.count_point(deaths.back());
    look_at(deaths);
  };
  for (std::size_t stores = log->setup; stores <= log->stores.size() && !is_over(); ++stores) {
    const std::uint32_t after =
        stores == log->setup ? log->held_at_start : log->stores[stores - 1].held_after;
    const std::uint32_t next =
        stores == log->stores.size() ? log->held_at_end : log->stores[stores].held_before;
    look(stores, after, false);
    if (next != after && !is_over()) look(stores, next, true);
  }
}

void explorer::look_at(const death_chain& deaths) {
  timeline_.seek(deaths);
  const std::uint64_t hash =
      deaths.size() == 1 || how_.own_records ? timeline_.fine() : timeline_.coarse();
  if (!seen_.insert(hash).second) return;
  if (deaths.size() == 1) seen_.insert(timeline_.coarse());
  const judgement found = survivors_.ask(timeline_.mutexes());
  report_.repairs += found.repaired;
  found_.add(deaths, hash, found);
  report_.only_one = how_.only_state != 0 && hash == how_.only_state;
  if (found.result == verdict::repair_hung) ++hung_;
  replace_survivor_if_gone();
  if (found.result == verdict::ok && found.recovered != 0)
    to_nest_.push_back(report_.states.size() - 1);
  show_progress();
}

void explorer::replace_survivor_if_gone() {
  if (!survivors_.is_gone()) return;
  timeline_.seek({});
  survivors_.start();
}

// Heirs die after each of their stores, too. The first one recovers everything. Where there are
// several mutexes to repair, an heir of each of the others comes, which repairs that one alone; its
// end is the state in which the heirs after it begin. So every order is explored.
void explorer::explore_heirs() {
  while (!to_nest_.empty() && !is_over()) {
    const death_chain after = found_.chains()[to_nest_.front()];
    to_nest_.pop_front();
    if (after.size() >= how_.depth) {
      cut("deaths of heirs after " + std::to_string(how_.depth) + " deaths in a row (depth)");
      continue;
    }
    const auto log = explore_heir(after, std::nullopt);
    timeline_.seek(after);
    std::vector<std::uint64_t> left = timeline_.left_inside();
    if (left.size() < 2 || log == nullptr) continue;
    // The heir that recovers everything has been the one that begins with this mutex.
    if (const auto first = first_changed(*log, left)) std::erase(left, *first);
    if (left.size() > how_.max_alone) {
      cut("orders of recovery in which mutexes after the first " + std::to_string(how_.max_alone) +
          " of a state come first (max_alone)");
      left.resize(how_.max_alone);
    }
    for (const std::uint64_t mutex : left) {
      if (!is_over()) explore_heir(after, mutex);
    }
  }
}

// Returns: its log; nullptr, and a warning in the report, if it cannot be used.
std::shared_ptr<const recording> explorer::explore_heir(const death_chain& after,
                                                        std::optional<std::uint64_t> alone) {
  timeline_.seek(after);
  std::string fault;
  auto log = logs_.record_heir(after, alone, fault);
  if (fault.empty()) {
    explore_log(after, log);
    if (omissions_ && after.size() == 1) omissions_->try_barriers(after, log);
    if (coverage_.is_wanted() && coverage_.is_new(timeline_, *log)) {
      timeline_.seek(after);
      coverage_.follow(workload_of_heir(what_, seg_, timeline_.mutexes(), alone), "an heir");
    }
    return log;
  }
  if (!contains(report_.warnings, fault)) report_.warnings.push_back(fault);
  return nullptr;
}

// The segment of a kill test has many attempts, so that heirs can die one after the other. What a
// repair does only at the last of them is asked for here, once for each state.
void explorer::try_last_attempts() {
  if (how_.depth < 2 || report_.only_one) return;
  const std::size_t count = report_.states.size();
  for (std::size_t i = 0; i < count && !is_over(); ++i) {
    if (found_.chains()[i].empty() || report_.states[i].result != verdict::ok) continue;
    const std::uint64_t hash = at_last_attempt(report_.states[i].hash);
    if (how_.only_state != 0 && hash != how_.only_state) continue;
    const death_chain deaths = found_.chains()[i];
    timeline_.seek(deaths);
    if (timeline_.left_inside().empty()) continue;
    judgement found = survivors_.ask_at_last_attempt(timeline_.mutexes());
    replace_survivor_if_gone();
    if (found.result == verdict::ok) continue;
    found.what = "at the last attempt, attempt() == max_attempts(): " + found.what;
    // No kill leaves just this state: the heirs that used up the attempts are not in the chain.
    found_.add(deaths, hash, found, killable::no);
    report_.only_one = how_.only_state != 0;
  }
}

// ---- what was found -----------------------------------------------------------------------------

// The state that was asked for is the last one.
void explorer::keep_only_one() {
  if (report_.only_one) {
    found_.keep_last();
    return cut("all states but one (only_state)");
  }
  report_.fault = "found no state " + outlive::detail::hex_16(how_.only_state) +
                  ", expected one with this hash (only_state)";
  found_.clear();
}

void explorer::confirm_some() {
  real_kills kills(what_, how_, seg_, timeline_, logs_.by());
  const std::size_t left_out = kills.confirm_some(report_, found_, [this] { show_progress(); });
  if (left_out != 0)
    cut("real kills for " + std::to_string(left_out) + " of the failing states (confirm)");
}

void explorer::show_progress() {
  using namespace std::chrono;
  const auto now = steady_clock::now();
  if (now - began_ < seconds(2) || now - shown_ < milliseconds(200) || ::isatty(STDERR_FILENO) == 0)
    return;
  shown_ = now;
  line_shown_ = true;
  std::fprintf(stderr, "\r\x1b[K%s: %zu deaths, %zu states, %zu failed, %zu to go on from",
               what_.name.c_str(), report_.points + report_.nested_points, report_.states.size(),
               report_.failed(), to_nest_.size());
}

}  // namespace

}  // namespace detail

report explore(const scenario& what, const explore_options& how, code_build built) {
  segment seg = segment::anonymous(what.options);
  if (what.make) what.make(seg);
  report found = detail::explorer(what, how, seg).run();
  if (built == code_build::not_optimised)
    found.warnings.push_back("built without -O: stores that the optimiser would move are not seen");
  return found;
}

}  // namespace outlive::killtest
