#include "support/sweep_path.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace outlive::testing {
namespace {

constexpr std::size_t stops_a_hit = 1;

/// The kernel's code for the clock loops while the clock is being set, so under single steps nearly
/// always.
struct clock_code {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;

  clock_code() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("[vdso]") == std::string::npos) continue;
      char dash = 0;
      std::istringstream(line) >> std::hex >> begin >> dash >> end;
    }
  }
};

}  // namespace

bool sweep_path::is_in_clock(std::size_t index) const {
  static const clock_code code;
  return pc(index) >= code.begin && pc(index) < code.end;
}

void sweep_path::add(tracee::position here) {
  if (steps_.empty()) base_ = here.sp;
  seen_[here.pc].push_back(steps_.size());
  steps_.push_back({here.pc, here.sp - base_});
}

void sweep_path::compare_with(const visit_counts& second_run) {
  for (const auto& [address, visits] : seen_) {
    const auto found = second_run.find(address);
    if (found == second_run.end() || found->second != visits.size() || is_in_clock(visits.front()))
      unsteady_.insert(address);
  }
}

std::size_t sweep_path::next(std::size_t index, std::size_t first, std::size_t stride) const {
  const std::size_t regular = index + stride - (index - first) % stride;
  const auto marked = marks_.upper_bound(index);
  return marked == marks_.end() ? regular : std::min(regular, *marked);
}

std::size_t sweep_path::visits(std::size_t index, std::size_t anchor) const {
  const auto& all = seen_.at(pc(index));
  // At step 0 a run has that instruction still before it; at any other anchor no waypoint has the
  // same address.
  const auto begin = anchor == 0 ? all.begin() : std::upper_bound(all.begin(), all.end(), anchor);
  return static_cast<std::size_t>(std::upper_bound(all.begin(), all.end(), index) - begin);
}

sweep_path::route sweep_path::to(std::size_t index) const {
  // Each run starts at step 0, which is the anchor for all points before the first unique place.
  std::size_t anchor = index;
  while (anchor > 0 && (seen_.at(pc(anchor)).size() > 1 || unsteady_.count(pc(anchor)) != 0))
    --anchor;
  route best{{}, {}, {}, 0, index};
  const auto consider = [&](std::size_t from) {
    const std::size_t hits = from == anchor ? 0 : visits(from, anchor);
    const std::size_t cost = stops_a_hit * ((anchor != 0) + hits) + (index - from);
    if (cost >= best.cost || unsteady_.count(pc(from)) != 0) return;
    best.anchor = anchor == 0 ? stop{} : stop{pc(anchor), 1};
    best.waypoint = hits == 0 ? stop{} : stop{pc(from), hits};
    best.from = from;
    best.cost = cost;
  };
  consider(anchor);
  for (std::size_t i = index; i > anchor && index - i < best.cost; --i) consider(i);
  count_turns(best, index);
  return best;
}

void sweep_path::count_turns(route& best, std::size_t index) const {
  const std::size_t begin = best.from;
  std::size_t least = index - begin;
  const std::size_t way = best.cost - least;
  for (std::size_t i = index; i > begin && index - i < least; --i) {
    const std::uintptr_t here = pc(i);
    if (here == pc(begin) || lost_.count(here) != 0 || is_in_clock(i)) continue;
    const std::size_t hits = visits(i, begin);
    const std::size_t cost = stops_a_hit * hits + (index - i);
    if (cost >= least) continue;
    least = cost;
    best.near_by = {here, hits};
    best.from = i;
    best.cost = way + cost;
  }
}

}  // namespace outlive::testing
