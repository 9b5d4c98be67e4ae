#include "support/sweep_path.hpp"

#include <algorithm>

namespace outlive::testing {
namespace {

constexpr std::size_t window = 512;      // single steps that a waypoint may leave
constexpr std::size_t stops_a_hit = 3;   // of a breakpoint: the hit, the step over it, the code written twice

}  // namespace

void sweep_path::add(tracee::position here) {
  if (steps_.empty())
    base_ = here.sp;
  seen_[here.pc].push_back(steps_.size());
  steps_.push_back({here.pc, here.sp - base_});
}

std::size_t sweep_path::next(std::size_t index, std::size_t first, std::size_t stride) const {
  const std::size_t regular = index + stride - (index - first) % stride;
  const auto marked = marks_.upper_bound(index);
  return marked == marks_.end() ? regular : std::min(regular, *marked);
}

std::size_t sweep_path::visits(std::size_t index, std::size_t anchor) const {
  const auto& all = seen_.at(pc(index));
  // A run stands at step 0 with that instruction still before it; at any other anchor no waypoint has the same address.
  const auto begin = anchor == 0 ? all.begin() : std::upper_bound(all.begin(), all.end(), anchor);
  return static_cast<std::size_t>(std::upper_bound(all.begin(), all.end(), index) - begin);
}

sweep_path::route sweep_path::to(std::size_t index) const {
  // Step 0 is where each run stands anyway; it serves as the anchor of what comes before the first unique place.
  std::size_t anchor = index;
  while (anchor > 0 && seen_.at(pc(anchor)).size() > 1)
    --anchor;
  route best{{}, {}, 0, index};
  for (std::size_t i = index; i >= anchor && i + window > index; --i) {
    const std::size_t hits = i == anchor ? 0 : visits(i, anchor);
    const std::size_t cost = stops_a_hit * ((anchor != 0) + hits) + (index - i);
    if (cost < best.cost) {
      best.anchor = anchor == 0 ? stop{} : stop{pc(anchor), 1};
      best.waypoint = hits == 0 ? stop{} : stop{pc(i), hits};
      best.from = i;
      best.cost = cost;
    }
    if (i == 0)
      break;
  }
  return best;
}

}  // namespace outlive::testing
