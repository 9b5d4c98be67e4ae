#include "torture/deaths.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace torture {

namespace {

using condition = lock_view::condition;
constexpr auto hung_after = std::chrono::seconds(5);

}  // namespace

// A death is over when the lock is consistent again and the dead owner's native word is gone: an
// heir owns the lock natively before it stores in `state` that it repairs. A lock whose owner had
// not entered yet keeps its state; then the native word alone shows the end.
bool pending_deaths::is_over(const death& each, std::uint64_t state) noexcept {
  if (lock_view::condition_of(state) != condition::consistent) return false;
  if (state != each.state) return true;
  return state == 1 && each.lock.owner_tid() != each.tid && !each.lock.is_marked();
}

void pending_deaths::update(time_point now, statistics& stats) {
  const auto is_finished = [&](const death& each) {
    if (!each.lock.is_lock()) return true;  // destroyed meanwhile
    const std::uint64_t state = each.lock.state();
    if (is_over(each, state)) {
      ++stats.recovered;
      stats.latencies.push_back(now - each.when);
      return true;
    }
    if (lock_view::condition_of(state) != condition::not_recoverable) return false;
    ++stats.not_recoverable;
    return true;
  };
  open_.erase(std::remove_if(open_.begin(), open_.end(), is_finished), open_.end());
}

void pending_deaths::finish(time_point now, const lock_list& locks, statistics& stats) {
  update(now, stats);
  stats.open_at_end = open_.size();
  for (const death& each : open_) {
    const bool repairing = lock_view::condition_of(each.lock.state()) == condition::repairing;
    if (!repairing || now - each.when < hung_after) continue;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - each.when).count();
    stats.problems.push_back(fmt::format("the repair of '{}' has not ended within {} s",
                                         locks.object_of(each.lock), seconds));
  }
}

log_counter::log_counter(const outlive::segment& segment) : segment_(segment) {
  const auto entries = outlive::death_log(segment);
  if (!entries.empty()) before_ = last_ = entries.back().number;
}

void log_counter::read() {
  for (const outlive::logged_death& entry : outlive::death_log(segment_)) {
    slot& in = ring_[(entry.number - 1) % ring_.size()];
    if (entry.number <= before_ || entry.number < in.number) continue;
    const bool is_new = entry.number != in.number;
    if (!is_new && !in.running) continue;
    const bool running = entry.outcome == outlive::death_outcome::repairing;
    if (is_new) ++seen_;
    if (is_new && running) ++begun_;
    if (!is_new && !running) --begun_;
    if (!running) ++ended_[entry.outcome];
    in = {entry.number, running};
    last_ = std::max(last_, entry.number);
  }
}

void log_counter::count(statistics& stats) const {
  for (const auto& [outcome, number] : ended_)
    stats.logged[std::string(to_string(outcome))] = number;
  if (begun_ != 0) stats.logged["begun"] = begun_;
  stats.logged_unseen = last_ - before_ - seen_;
}

}  // namespace torture
