#include <utility>

#include <outlive/segment_view.hpp>

namespace outlive {

namespace {

hold_times::hold hold_of(const viewed_thread& thread, std::uint64_t mutex_offset) {
  return {thread.record, thread.generation, thread.acquisitions, mutex_offset};
}

}  // namespace

void hold_times::update(const std::vector<hold>& held, time_point now) {
  std::map<hold, time_point> seen;
  for (const hold& each : held) {
    const auto before = since_.find(each);
    seen.emplace(each, before == since_.end() ? now : before->second);
  }
  since_ = std::move(seen);
  now_ = now;
}

void hold_times::update(const std::vector<viewed_thread>& threads, time_point now) {
  std::vector<hold> held;
  for (const viewed_thread& thread : threads) {
    for (const held_lock& each : thread.in_hand) {
      if (each.held) held.push_back(hold_of(thread, each.mutex_offset));
    }
  }
  update(held, now);
}

std::optional<std::chrono::nanoseconds> hold_times::held_for(const hold& which) const {
  const auto found = since_.find(which);
  if (found == since_.end() || found->second == now_) return std::nullopt;
  return now_ - found->second;
}

std::optional<std::chrono::nanoseconds> hold_times::held_for(const viewed_thread& by,
                                                             std::uint64_t mutex_offset) const {
  return held_for(hold_of(by, mutex_offset));
}

}  // namespace outlive
