#include "killtest/explore/checked_logs.hpp"

#include <cstring>

#include "killtest/state/private_view.hpp"
#include "killtest/survivor/survivors.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest::detail {

std::string other_bytes(const segment& seg, const different_word& at) {
  return "other bytes " + place_of(seg, at.first_bit()) + ": " + outlive::detail::hex_16(at.there) +
         ", not " + outlive::detail::hex_16(at.here);
}

std::string and_how_to_ignore(const segment& seg, const different_word& at) {
  if (object_at(seg, at.offset).name.empty()) return {};
  return ". If that is a process id, a time or the like, say that it does not belong to the state: "
         "what.ignored = [](outlive::segment& seg) { return std::vector{std::span("
         "static_cast<const std::byte*>(seg.base()) + " +
         std::to_string(at.offset) + ", 8)}; };";
}

std::shared_ptr<const recording> checked_logs::record_victim_by(engine which) {
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
    states_.learn_locks(*made);
  }
  return made;
}

std::shared_ptr<const recording> checked_logs::record_victim() {
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
std::string checked_logs::difference_to(const plain_run& plain, death_chain deaths,
                                        const std::shared_ptr<const recording>& log) {
  if (!plain.fault().empty()) return plain.fault();
  deaths.push_back({log, log->stores.size(), 0, false});
  states_.seek(deaths);
  const auto at = states_.first_difference(plain.bytes());
  deaths.pop_back();
  states_.seek(deaths);
  if (!at) return {};
  return (deaths.empty() ? "the victim" : "an heir") + std::string(", run without a log, left ") +
         other_bytes(seg_, *at) +
         ": it differs from run to run, or makes system calls that write into the segment";
}

// Runs it once more, on the same bytes. Returns: what the two runs without a log left different;
// empty if nothing.
std::string checked_logs::difference_between_runs(const plain_run& plain, const workload& what,
                                                  const std::string& who) {
  if (!plain.fault().empty()) return {};
  const plain_run again(seg_, what, who, how_.time_limit);
  if (!again.fault().empty()) return {};
  const std::string before(base_of(seg_), seg_.size_bytes());
  std::memcpy(base_of(seg_), plain.bytes(), before.size());
  std::string differs;
  if (const auto at = states_.first_difference(again.bytes()))
    differs = who + " differs from run to run: a second one, from the same state, left " +
              other_bytes(seg_, *at) + and_how_to_ignore(seg_, *at);
  std::memcpy(base_of(seg_), before.data(), before.size());
  return differs;
}

// A repair may also make system calls that write into the segment. The first heirs are compared
// with runs without a log; not all of them, because each takes a process.
std::shared_ptr<const recording> checked_logs::record_heir(const death_chain& after,
                                                           std::optional<std::uint64_t> alone,
                                                           std::string& fault) {
  constexpr unsigned max_compared_heirs = 16;
  const workload heir = workload_of_heir(what_, seg_, states_.mutexes(), alone);
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
  if (!report_.fault.empty()) return log;  // there would be a new state in each run
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

}  // namespace outlive::killtest::detail
