// explore(): the search through every crash state of a scenario. A class, explorer, has one run:
//
//   start      the survivor claims its thread record, in the state without any death (survivor/)
//   record     the victim runs without a log, then with one (trace/); both must agree
//   explore    for each place in the log, the bytes after a death there (state/timeline.hpp)
//              a state whose hash is new goes to the survivor, which recovers and judges it
//   nest       where the survivor recovered something, it is logged as an heir, and dies after
//              each of its stores, too: the same loop over another log; where there are several
//              mutexes to repair, so is an heir of each alone
//   confirm    failing states, and a sample of the others, once more by a real SIGKILL, on a copy
//   report     images of failing states; stacks as functions and lines (stacks/)
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
#include <cstring>
#include <deque>
#include <fstream>
#include <ios>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "format/object_layout.hpp"
#include "killtest/explore/omission_trials.hpp"
#include "killtest/process/child_process.hpp"
#include "killtest/stacks/process_stacks.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/state/segment_copy.hpp"
#include "killtest/state/timeline.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/survivors.hpp"
#include "killtest/survivor/workload.hpp"
#include "killtest/trace/plain_run.hpp"
#include "killtest/trace/recorder.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest {

namespace detail {

namespace {

constexpr unsigned max_compared_heirs = 16;
constexpr std::size_t max_images = 16;

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

class explorer {
 public:
  explorer(const scenario& what, const explore_options& how, segment& seg);
  [[nodiscard]] report run();

 private:
  [[nodiscard]] std::shared_ptr<const recording> record_victim();
  [[nodiscard]] std::shared_ptr<const recording> record_victim_by(engine which);
  [[nodiscard]] std::string difference_to(const plain_run& plain, death_chain deaths,
                                          const std::shared_ptr<const recording>& log);
  [[nodiscard]] std::string other_bytes(const different_word& at) const;
  [[nodiscard]] std::string and_how_to_ignore(const different_word& at) const;
  [[nodiscard]] std::string difference_between_runs(const plain_run& plain, const workload& what,
                                                    const std::string& who);
  [[nodiscard]] std::shared_ptr<const recording> record_heir(const death_chain& after,
                                                             std::optional<std::uint64_t> alone,
                                                             std::string& fault);
  void check_end(const std::shared_ptr<const recording>& victim);
  void check_change(const recording& victim);

  // All deaths in the tested part of the log, after those of `before`.
  void explore_log(const death_chain& before, const std::shared_ptr<const recording>& log);
  void look_at(const death_chain& deaths);
  void explore_heirs();
  std::shared_ptr<const recording> explore_heir(const death_chain& after,
                                                std::optional<std::uint64_t> alone);
  void add_state(const death_chain& deaths, std::uint64_t hash, const judgement& found);
  [[nodiscard]] bool is_over();

  void try_last_attempts();

  void keep_only_one();
  void confirm_some();
  void confirm(crash_state& state, const death_chain& deaths);
  void write_images();
  void describe_stacks();
  [[nodiscard]] std::size_t stack_index(const log_position& at);
  void cut(const std::string& what);
  void show_progress();

  const scenario& what_;
  const explore_options& how_;
  segment& seg_;
  survivors survivors_;
  std::unique_ptr<timeline> timeline_;
  recorder recorder_;
  report report_;
  std::vector<death_chain> chains_;  // of report_.states
  std::unordered_set<std::uint64_t> seen_;
  std::unordered_map<std::size_t, stack_trace> crashes_;  // of heirs, by index of the state
  std::optional<omission_trials> omissions_;
  std::unordered_set<std::size_t> unconfirmed_;  // states that no real kill can leave alone
  std::deque<std::size_t> to_nest_;              // indexes of states
  std::vector<stack_trace> stacks_;              // of the report, as addresses
  std::unordered_map<std::uint64_t, std::size_t> stack_of_;
  std::size_t hung_ = 0;
  unsigned compared_heirs_ = 0;  // how many were compared with a run without a log
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
      recorder_(seg, how.time_limit),
      budget_(budget_of(how)) {}

report explorer::run() {
  report_.scenario = what_.name;
  stacks_.emplace_back();
  const on_one_cpu turns;
  survivors_.start();
  timeline_ = std::make_unique<timeline>(base_of(seg_), seg_.size_bytes());
  if (what_.ignored) {
    for (const auto& bytes : what_.ignored(seg_)) timeline_->ignore(bytes);
  }
  const auto victim = record_victim();
  if (report_.fault.empty()) {
    report_.stores = victim->stores.size() - victim->setup;
    check_end(victim);
    explore_log({}, victim);
    // What passes without a part proves nothing about that part.
    const bool tries = report_.failed() == 0 && how_.only_state == 0;
    if (tries) omissions_.emplace(seg_, survivors_, *timeline_, [this] { return is_over(); });
    if (tries) report_.made_no_difference = omissions_->needless_repairs(chains_);
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
    write_images();
  }
  report_.used = recorder_.chosen();
  timeline_->seek({});
  describe_stacks();
  if (line_shown_) std::fputs("\r\x1b[K", stderr);
  report_.took = std::chrono::steady_clock::now() - began_;
  return report_;
}

// ---- logs --------------------------------------------------------------------------------------

std::shared_ptr<const recording> explorer::record_victim_by(engine which) {
  if (const char* const why = recorder_.choose(which)) {
    report_.fault = why;
    return nullptr;
  }
  std::string fault;
  auto made = recorder_.record(workload_of_victim(what_, how_, seg_), fault);
  if (!fault.empty()) {
    report_.fault = "the victim: " + fault;
  } else if (made->stores.size() == made->setup) {
    report_.fault = "the victim stored nothing in the segment: there is nothing to kill";
  } else {
    timeline_->learn_locks(*made);
  }
  return made;
}

// A system call that writes into the segment fails while the segment is write-protected. The victim
// may throw then, or take another path. The comparison with a run without a log finds that.
std::shared_ptr<const recording> explorer::record_victim() {
  const plain_run plain(seg_, workload_of_victim(what_, how_, seg_), "the victim", how_.time_limit);
  // A victim that does not end without a log would use up the far longer limit of each engine. Only
  // single steps show where it was.
  if (how_.with != engine::single_step && !plain.fault().empty()) {
    report_.fault = plain.fault();
    return nullptr;
  }
  auto made = record_victim_by(how_.with);
  if (made == nullptr) return made;
  report_.engine_reason =
      how_.with == engine::automatic ? "the fastest one of this machine" : "it was requested";
  std::string differs = report_.fault.empty() ? difference_to(plain, {}, made) : report_.fault;
  if (differs.empty() || !report_.fault.empty()) return made;
  const workload again = workload_of_victim(what_, how_, seg_);
  if (const std::string runs = difference_between_runs(plain, again, "the victim"); !runs.empty()) {
    report_.fault = runs;
    return made;
  }
  if (how_.with == engine::automatic && recorder_.chosen() != engine::single_step) {
    report_.engine_reason = "by " + std::string(to_string(recorder_.chosen())) + " " + differs;
    report_.fault.clear();
    made = record_victim_by(engine::single_step);
    if (made != nullptr && report_.fault.empty()) differs = difference_to(plain, {}, made);
  }
  if (report_.fault.empty()) report_.fault = differs;
  return made;
}

// Returns: empty if the log comes to the same bytes, from the state that these deaths left.
std::string explorer::difference_to(const plain_run& plain, death_chain deaths,
                                    const std::shared_ptr<const recording>& log) {
  if (!plain.fault().empty()) return plain.fault();
  deaths.push_back({log, log->stores.size(), 0, false});
  timeline_->seek(deaths);
  const auto at = timeline_->first_difference(plain.bytes());
  deaths.pop_back();
  timeline_->seek(deaths);
  if (!at) return {};
  return (deaths.empty() ? "the victim" : "an heir") + std::string(", run without a log, left ") +
         other_bytes(*at) +
         ": it differs from run to run, or makes system calls that write into the segment";
}

// The values here are those of the log, or of the first run.
std::string explorer::other_bytes(const different_word& at) const {
  return "other bytes " + place_of(seg_, at.first_bit()) + ": " +
         outlive::detail::hex_16(at.there) + ", not " + outlive::detail::hex_16(at.here);
}

std::string explorer::and_how_to_ignore(const different_word& at) const {
  if (object_at(seg_, at.offset).name.empty()) return {};
  return ". If that is a process id, a time or the like, say that it does not belong to the state: "
         "what.ignored = [](outlive::segment& seg) { return std::vector{std::span("
         "static_cast<const std::byte*>(seg.base()) + " +
         std::to_string(at.offset) + ", 8)}; };";
}

// Runs it once more, on the same bytes. Returns: what the two runs without a log left different;
// empty if nothing.
std::string explorer::difference_between_runs(const plain_run& plain, const workload& what,
                                              const std::string& who) {
  if (!plain.fault().empty()) return {};
  const plain_run again(seg_, what, who, how_.time_limit);
  if (!again.fault().empty()) return {};
  const std::string before(base_of(seg_), seg_.size_bytes());
  std::memcpy(base_of(seg_), plain.bytes(), before.size());
  std::string differs;
  if (const auto at = timeline_->first_difference(again.bytes()))
    differs = who + " differs from run to run: a second one, from the same state, left " +
              other_bytes(*at) + and_how_to_ignore(*at);
  std::memcpy(base_of(seg_), before.data(), before.size());
  return differs;
}

// Nobody will release what the victim still holds at its end.
void explorer::check_end(const std::shared_ptr<const recording>& victim) {
  for (const std::uint64_t offset : victim->held[victim->held_at_end]) {
    if (contains(victim->held[victim->held_at_start], offset)) continue;
    if (!contains(timeline_->mutexes(), offset)) continue;
    // Nobody died: there is no store to show, and no kill to confirm.
    add_state({}, 0,
              {verdict::lock_never_released,
               "the victim came to its end and still holds mutex " + name_of(seg_, offset), 0, 0});
    return;
  }
}

// States that come out well prove nothing if the victim never came to its change. outlive itself is
// explored by what it does without the user's bytes.
void explorer::check_change(const recording& victim) {
  if (how_.own_records || how_.from_first_use || report_.failed() != 0) return;
  if (!report_.fault.empty() || timeline_->changes_objects(victim)) return;
  report_.fault = "nothing of yours was changed: all " +
                  std::to_string(victim.stores.size() - victim.setup) +
                  " stores of the victim went into locks and outlive's own records, so nothing is "
                  "proved; does the victim come to its change?";
}

// ---- the search --------------------------------------------------------------------------------

bool explorer::is_over() {
  if (over_) return true;
  if (report_.only_one) return over_ = true;
  if (report_.states.size() >= how_.max_states) {
    cut("what comes after " + std::to_string(how_.max_states) + " states (max_states)");
  } else if (budget_.count() != 0 && std::chrono::steady_clock::now() - began_ >= budget_) {
    cut("what comes after " + std::to_string(budget_.count()) + " ms (budget): " +
        (chains_.empty() || chains_.back().size() <= 1
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
  timeline_->learn_locks(*log);
  if (timeline_->mutexes().size() > survivors::max_mutexes)
    cut("whether mutexes after the first " + std::to_string(survivors::max_mutexes) +
        " can be acquired");
  death_chain deaths = before;
  deaths.emplace_back();
  const auto look = [&](std::size_t stores, std::uint32_t held, bool before_next) {
    deaths.back() = {log, stores, held, before_next};
    ++(before.empty() ? report_.points : report_.nested_points);
    const std::size_t stack = stack_index(deaths.back());
    if (report_.points_at.size() <= stack) report_.points_at.resize(stack + 1);
    ++report_.points_at[stack];
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
  timeline_->seek(deaths);
  const std::uint64_t hash =
      deaths.size() == 1 || how_.own_records ? timeline_->fine() : timeline_->coarse();
  if (!seen_.insert(hash).second) return;
  if (deaths.size() == 1) seen_.insert(timeline_->coarse());
  const judgement found = survivors_.ask(timeline_->mutexes());
  report_.repairs += found.repaired;
  add_state(deaths, hash, found);
  report_.only_one = how_.only_state != 0 && hash == how_.only_state;
  if (found.result == verdict::repair_hung) ++hung_;
  if (survivors_.is_gone()) {
    timeline_->seek({});
    survivors_.start();
  }
  if (found.result == verdict::ok && found.recovered != 0)
    to_nest_.push_back(report_.states.size() - 1);
  show_progress();
}

void explorer::add_state(const death_chain& deaths, std::uint64_t hash, const judgement& found) {
  crash_state state;
  state.hash = hash;
  for (const log_position& each : deaths) {
    state.deaths.push_back({each.stores - each.log->setup, each.before_next, stack_index(each),
                            each.log->alone ? name_of(seg_, *each.log->alone) : std::string()});
  }
  state.result = found.result;
  state.what = found.what;
  state.repaired = found.repairs;
  if (!found.crashed_at.empty()) crashes_.emplace(report_.states.size(), found.crashed_at);
  report_.states.push_back(std::move(state));
  chains_.push_back(deaths);
}

// A repair may also make system calls that write into the segment. The first heirs are compared
// with runs without a log; not all of them, because each takes a process.
std::shared_ptr<const recording> explorer::record_heir(const death_chain& after,
                                                       std::optional<std::uint64_t> alone,
                                                       std::string& fault) {
  const workload heir = workload_of_heir(what_, seg_, timeline_->mutexes(), alone);
  auto log = recorder_.record(heir, fault);
  if (!fault.empty()) fault = "an heir, logged: " + fault;
  if (!fault.empty() || recorder_.chosen() == engine::single_step ||
      compared_heirs_ == max_compared_heirs)
    return log;
  ++compared_heirs_;
  const plain_run plain(seg_, heir, "an heir", how_.time_limit);
  const std::string differs = difference_to(plain, after, log);
  if (differs.empty()) return log;
  report_.fault = difference_between_runs(plain, heir, "an heir");
  if (!report_.fault.empty()) {
    over_ = true;  // there would be a new state in each run
    return log;
  }
  fault = differs;
  if (how_.with != engine::automatic) return log;
  const engine former = recorder_.chosen();
  std::string fault_of_steps;
  if (recorder_.choose(engine::single_step) == nullptr) {
    auto stepped = recorder_.record(heir, fault_of_steps);
    if (fault_of_steps.empty() && difference_to(plain, after, stepped).empty()) {
      report_.engine_reason = "by " + std::string(to_string(former)) + " " + differs;
      fault.clear();
      return stepped;
    }
  }
  // Single steps do not agree either: stay with the former engine, and compare no more heirs.
  static_cast<void>(recorder_.choose(former));
  compared_heirs_ = max_compared_heirs;
  return log;
}

// Heirs die after each of their stores, too. The first one recovers everything. Where there are
// several mutexes to repair, an heir of each of the others comes, which repairs that one alone; its
// end is the state in which the heirs after it begin. So every order is explored.
void explorer::explore_heirs() {
  while (!to_nest_.empty() && !is_over()) {
    const death_chain after = chains_[to_nest_.front()];
    to_nest_.pop_front();
    if (after.size() >= how_.depth) {
      cut("deaths of heirs after " + std::to_string(how_.depth) + " deaths in a row (depth)");
      continue;
    }
    const auto log = explore_heir(after, std::nullopt);
    timeline_->seek(after);
    std::vector<std::uint64_t> left = timeline_->left_inside();
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
  timeline_->seek(after);
  std::string fault;
  auto log = record_heir(after, alone, fault);
  if (fault.empty()) {
    explore_log(after, log);
    if (omissions_ && after.size() == 1) omissions_->try_barriers(after, log);
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
    if (chains_[i].empty() || report_.states[i].result != verdict::ok) continue;
    const std::uint64_t hash = at_last_attempt(report_.states[i].hash);
    if (how_.only_state != 0 && hash != how_.only_state) continue;
    const death_chain deaths = chains_[i];
    timeline_->seek(deaths);
    if (timeline_->left_inside().empty()) continue;
    judgement found = survivors_.ask_at_last_attempt(timeline_->mutexes());
    if (survivors_.is_gone()) {
      timeline_->seek({});
      survivors_.start();
      timeline_->seek(deaths);
    }
    if (found.result == verdict::ok) continue;
    found.what = "at the last attempt, attempt() == max_attempts(): " + found.what;
    // No kill leaves just this state: the heirs that used up the attempts are not in the chain.
    unconfirmed_.insert(report_.states.size());
    add_state(deaths, hash, found);
    report_.only_one = how_.only_state != 0;
  }
}

// ---- real kills ---------------------------------------------------------------------------------

// The state that was asked for is the last one.
void explorer::keep_only_one() {
  if (!report_.only_one) {
    report_.fault = "found no state " + outlive::detail::hex_16(how_.only_state) +
                    ", expected one with this hash (only_state)";
    report_.states.clear();
    chains_.clear();
    crashes_.clear();
    return;
  }
  const auto others = static_cast<std::ptrdiff_t>(report_.states.size() - 1);
  chains_.erase(chains_.begin(), chains_.begin() + others);
  if (const auto crash = crashes_.extract(static_cast<std::size_t>(others)); !crash.empty())
    crashes_ = {{0, crash.mapped()}};
  if (unconfirmed_.contains(static_cast<std::size_t>(others))) unconfirmed_ = {0};
  report_.states.erase(report_.states.begin(), report_.states.begin() + others);
  cut("all states but one (only_state)");
}

// Some of the failing states, and a sample of the others, once more by a SIGKILL at the same store.
void explorer::confirm_some() {
  std::vector<std::size_t> failing, passing;
  for (std::size_t i = 0; i < report_.states.size(); ++i) {
    if (chains_[i].empty() || unconfirmed_.contains(i)) continue;
    (report_.states[i].result == verdict::ok ? passing : failing).push_back(i);
  }
  std::mt19937_64 random(how_.seed);
  std::shuffle(passing.begin(), passing.end(), random);
  if (failing.size() > how_.confirm) {
    cut("real kills for " + std::to_string(failing.size() - how_.confirm) +
        " of the failing states (confirm)");
    failing.resize(how_.confirm);
  }
  if (passing.size() > how_.confirm) passing.resize(how_.confirm);
  for (const auto* const chosen : {&failing, &passing}) {
    for (const std::size_t i : *chosen) {
      confirm(report_.states[i], chains_[i]);
      show_progress();
    }
  }
}

void explorer::confirm(crash_state& state, const death_chain& deaths) {
  const auto differs = [&](const std::string& how) {
    state.result = verdict::model_differs;
    state.what = how + (state.what.empty() ? std::string() : "; expected: " + state.what);
  };
  timeline_->seek({});
  const segment_copy copy(seg_);
  for (const log_position& each : deaths) {
    const bool is_victim = &each == &deaths.front();
    const workload what =
        is_victim ? workload_of_victim(what_, how_, seg_)
                  : workload_of_heir(what_, seg_, timeline_->mutexes(), each.log->alone);
    const std::string fault = recorder_.kill_at(what, copy, each);
    if (!fault.empty()) {
      return differs("a real SIGKILL did not hit the " +
                     std::string(is_victim ? "victim" : "heir") + " at its place: " + fault);
    }
  }
  timeline_->seek(deaths);
  if (const auto at = timeline_->first_difference(copy.bytes()))
    return differs("a real SIGKILL left " + other_bytes(*at) + and_how_to_ignore(*at));
  survivors fresh(what_, seg_, true, how_.time_limit);
  const judgement found = fresh.ask_about(copy.fd(), timeline_->mutexes());
  if (found.result != state.result) {
    return differs("after a real SIGKILL the heir came to \"" +
                   std::string(to_string(found.result)) + "\" " + found.what);
  }
  state.confirmed = true;
  ++report_.confirmed;
}

// ---- the report ---------------------------------------------------------------------------------

void explorer::write_images() {
  if (how_.images.empty()) return;
  std::size_t written = 0;
  for (std::size_t i = 0; i < report_.states.size() && written < max_images; ++i) {
    if (report_.states[i].result == verdict::ok || chains_[i].empty()) continue;
    timeline_->seek(chains_[i]);
    const std::string path =
        how_.images + "/crash-" + outlive::detail::hex_16(report_.states[i].hash) + ".seg";
    const std::string bytes(base_of(seg_), seg_.size_bytes());
    if (unconfirmed_.contains(i)) use_up_attempts(seg_, timeline_->mutexes());
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(base_of(seg_), static_cast<std::streamsize>(seg_.size_bytes()));
    std::memcpy(base_of(seg_), bytes.data(), bytes.size());
    if (!file.flush()) {
      report_.warnings.push_back(path + ": could not be written");
      return;
    }
    report_.states[i].image = path;
    ++written;
  }
}

std::size_t explorer::stack_index(const log_position& at) {
  if (at.stores == at.log->setup || at.stores == 0) return 0;
  const stack_trace& trace = at.log->stacks[at.log->stores[at.stores - 1].stack];
  std::uint64_t hash = trace.size();
  for (const std::uintptr_t each : trace) hash = (hash ^ each) * 0x9e3779b97f4a7c15 + (hash >> 31);
  const auto [found, is_new] = stack_of_.try_emplace(hash, stacks_.size());
  if (is_new) stacks_.push_back(trace);
  return found->second;
}

void explorer::describe_stacks() {
  if (!how_.sources && report_.failed() == 0) return;
  process_stacks names;
  for (const stack_trace& each : stacks_) report_.stacks.push_back(names.describe(each));
  report_.code = names.code();
  for (const auto& [state, stack] : crashes_)
    report_.states[state].what += ", at " + to_string(names.describe(stack));
  report_.points_at.resize(stacks_.size());
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
