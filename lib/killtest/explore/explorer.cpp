#include "killtest/explore/explorer.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>

#include "killtest/heir/acts.hpp"
#include "killtest/process/process.hpp"
#include "killtest/state/private_view.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr unsigned max_compared_heirs = 16;

}  // namespace

explorer::explorer(const scenario& what, const explore_options& how, segment& seg)
    : what_(what),
      how_(how),
      seg_(seg),
      heirs_(what, seg, how.isolate, how.time_limit),
      recorder_(seg, how.time_limit) {}

// ---- logs --------------------------------------------------------------------------------------

std::shared_ptr<const recording> explorer::record_victim_by(engine which) {
  if (const char* const why = recorder_.choose(which)) {
    report_.fault = why;
    return nullptr;
  }
  std::string fault;
  auto made = recorder_.record(act_of_victim(what_, how_, seg_), fault);
  if (!fault.empty()) {
    report_.fault = "the victim: " + fault;
  } else if (made->stores.size() == made->setup) {
    report_.fault = "the victim stored nothing in the segment: there is nothing to kill";
  } else {
    world_->learn_locks(*made);
  }
  return made;
}

// A system call that writes into the segment fails where the segment is write-protected; the victim
// may throw then, or go another way.
std::shared_ptr<const recording> explorer::record_victim() {
  const plain_run plain(seg_, act_of_victim(what_, how_, seg_), "the victim", how_.time_limit);
  // One that does not come to its end without a log would use up the far longer limit of each
  // engine. Single steps alone tell where it was.
  if (how_.with != engine::single_step && !plain.fault().empty()) {
    report_.fault = plain.fault();
    return nullptr;
  }
  auto made = record_victim_by(how_.with);
  if (made == nullptr) return made;
  report_.engine_reason =
      how_.with == engine::automatic ? "the fastest one of this machine" : "it was asked for";
  std::string differs = report_.fault.empty() ? difference_to(plain, {}, made) : report_.fault;
  if (differs.empty()) return made;
  if (how_.with == engine::automatic && recorder_.chosen() != engine::single_step) {
    report_.engine_reason = "by " + std::string(to_string(recorder_.chosen())) + " " + differs;
    report_.fault.clear();
    made = record_victim_by(engine::single_step);
    if (made != nullptr && report_.fault.empty()) differs = difference_to(plain, {}, made);
  }
  if (report_.fault.empty()) report_.fault = differs;
  return made;
}

// Empty: the log comes to the same bytes, from the state that these deaths left.
std::string explorer::difference_to(const plain_run& plain, death_chain deaths,
                                    const std::shared_ptr<const recording>& log) {
  if (!plain.fault().empty()) return plain.fault();
  deaths.push_back({log, log->stores.size(), 0, false});
  world_->seek(deaths);
  const auto offset = world_->first_difference(plain.bytes());
  deaths.pop_back();
  world_->seek(deaths);
  if (!offset) return {};
  return (deaths.empty() ? "the victim" : "an heir") +
         std::string(", run without a log, left other bytes ") + place_of(seg_, *offset) +
         ": it does not do the same each time, or makes system calls that write into the segment";
}

// The victim's end: what it still holds then, nobody will release.
void explorer::check_end(const std::shared_ptr<const recording>& victim) {
  const held_locks& before = victim->held[victim->held_at_start];
  for (const std::uint64_t offset : victim->held[victim->held_at_end]) {
    if (std::find(before.begin(), before.end(), offset) != before.end()) continue;
    if (std::find(world_->mutexes().begin(), world_->mutexes().end(), offset) ==
        world_->mutexes().end())
      continue;
    // Nobody died: there is no store to tell, and no kill to confirm.
    add_state(
        {}, 0,
        {verdict::lock_never_released,
         "the victim has come to its end and still holds mutex " + name_of(seg_, offset), 0, 0});
    return;
  }
}

// ---- the search --------------------------------------------------------------------------------

bool explorer::is_over() {
  if (over_) return true;
  if (report_.states.size() >= how_.max_states) {
    cut("what comes after " + std::to_string(how_.max_states) + " states (max_states)");
  } else if (hung_ >= how_.max_hung) {
    cut("what comes after " + std::to_string(how_.max_hung) + " states whose heir hung (max_hung)");
  } else {
    return false;
  }
  over_ = true;
  return true;
}

void explorer::cut(const std::string& what) {
  if (std::find(report_.cut.begin(), report_.cut.end(), what) == report_.cut.end())
    report_.cut.push_back(what);
}

void explorer::explore_log(const death_chain& before, const std::shared_ptr<const recording>& log) {
  world_->learn_locks(*log);
  if (world_->mutexes().size() > heirs::max_mutexes)
    cut("whether mutexes after the first " + std::to_string(heirs::max_mutexes) + " can be had");
  death_chain deaths = before;
  deaths.emplace_back();
  const auto look = [&](std::size_t stores, std::uint32_t held, bool before_next) {
    deaths.back() = {log, stores, held, before_next};
    ++(before.empty() ? report_.points : report_.nested_points);
    count_point(deaths.back());
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
  world_->seek(deaths);
  const std::uint64_t hash =
      deaths.size() == 1 || how_.own_books ? world_->fine() : world_->coarse();
  if (!seen_.insert(hash).second) return;
  if (deaths.size() == 1) seen_.insert(world_->coarse());
  const judgement found = heirs_.ask(world_->mutexes());
  report_.repairs += found.repaired;
  add_state(deaths, hash, found);
  if (found.result == verdict::repair_hung) ++hung_;
  if (heirs_.is_gone()) {
    world_->seek({});
    heirs_.start();
  }
  if (found.result == verdict::ok && found.recovered != 0)
    to_nest_.push_back(report_.states.size() - 1);
  show_progress();
}

void explorer::add_state(const death_chain& deaths, std::uint64_t hash, const judgement& found) {
  crash_state state;
  state.hash = hash;
  for (const log_position& each : deaths) {
    state.deaths.push_back({each.stores - each.log->setup, each.before_next, stack_index(each)});
  }
  state.result = found.result;
  state.what = found.what;
  report_.states.push_back(std::move(state));
  chains_.push_back(deaths);
}

// The heir dies, too, after each of its stores.
void explorer::record_heir_after(const death_chain& after) {
  world_->seek(after);
  std::string fault;
  const auto log = record_heir(after, fault);
  if (!fault.empty()) {
    if (std::find(report_.warnings.begin(), report_.warnings.end(), fault) ==
        report_.warnings.end())
      report_.warnings.push_back(fault);
    return;
  }
  explore_log(after, log);
}

// A repair may make system calls that write into the segment, too. That is found out with the first
// heirs: it takes a process for each.
std::shared_ptr<const recording> explorer::record_heir(const death_chain& after,
                                                       std::string& fault) {
  const act heir = act_of_heir(what_, seg_, world_->mutexes());
  auto log = recorder_.record(heir, fault);
  if (!fault.empty()) fault = "an heir, logged: " + fault;
  if (!fault.empty() || recorder_.chosen() == engine::single_step ||
      compared_heirs_ == max_compared_heirs)
    return log;
  ++compared_heirs_;
  const plain_run plain(seg_, heir, "an heir", how_.time_limit);
  const std::string differs = difference_to(plain, after, log);
  if (differs.empty()) return log;
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
  static_cast<void>(recorder_.choose(former));
  compared_heirs_ = max_compared_heirs;
  return log;
}

report explorer::run() {
  report_.scenario = what_.name;
  stacks_.emplace_back();
  const on_one_cpu turns;
  heirs_.start();
  world_ = std::make_unique<truth>(base_of(seg_), seg_.size_bytes());
  if (what_.ignored) {
    for (const auto& bytes : what_.ignored(seg_)) world_->ignore(bytes);
  }
  const auto victim = record_victim();
  if (report_.fault.empty()) {
    report_.stores = victim->stores.size() - victim->setup;
    check_end(victim);
    explore_log({}, victim);
    explore_heirs();
    confirm_some();
    write_images();
  }
  report_.used = recorder_.chosen();
  world_->seek({});
  describe_stacks();
  end_progress();
  report_.took = std::chrono::steady_clock::now() - began_;
  return report_;
}

void explorer::explore_heirs() {
  while (!to_nest_.empty() && !is_over()) {
    const death_chain after = chains_[to_nest_.front()];
    to_nest_.pop_front();
    if (after.size() < how_.depth) {
      record_heir_after(after);
    } else {
      cut("deaths of heirs after " + std::to_string(how_.depth) + " deaths in a row (depth)");
    }
  }
}

}  // namespace outlive::killtest::detail
