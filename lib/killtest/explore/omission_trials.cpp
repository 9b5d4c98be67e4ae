#include "killtest/explore/omission_trials.hpp"

#include <algorithm>
#include <cstring>

#include "killtest/state/private_view.hpp"

namespace outlive::killtest::detail {

std::vector<std::string> omission_trials::needless_repairs(const std::vector<death_chain>& chains) {
  std::vector<std::string> found;
  for (const std::uint64_t mutex : states_.mutexes()) {
    if (is_over_()) break;
    if (!is_repair_needed(mutex, chains))
      found.push_back("the repair of " + name_of(seg_, mutex) +
                      ". Every state of the victim's death comes out well without it");
  }
  return found;
}

// A repair that was never due counts as needed, too.
bool omission_trials::is_repair_needed(std::uint64_t mutex,
                                       const std::vector<death_chain>& chains) {
  bool was_tried = false;
  for (const death_chain& each : chains) {
    if (is_over_()) return true;
    if (each.empty()) continue;
    states_.seek(each);
    const std::vector<std::uint64_t> left = states_.left_inside();
    if (std::find(left.begin(), left.end(), mutex) == left.end()) continue;
    const auto found = heirs_.ask_without_repair(states_.mutexes(), mutex);
    replace_heir_if_gone();
    if (!found || found->result != verdict::ok) return true;
    was_tried = true;
  }
  return !was_tried;
}

// Without a crash barrier the compiler may make the stores after it before those before it. So each
// barrier is taken out by making some of the first without some of the latter. Where every such
// state comes out well, nothing shows that the barrier is needed.
void omission_trials::try_barriers(const death_chain& before,
                                   const std::shared_ptr<const recording>& log) {
  const auto is_users = [&](std::size_t i) {
    return states_.is_in_an_object(*log, log->stores[i]);
  };
  for (std::size_t which = 0; which < log->barriers.size() && !is_over_(); ++which) {
    const passed_barrier& barrier = log->barriers[which];
    const std::size_t begin =
        which == 0 ? log->setup
                   : std::max<std::size_t>(log->barriers[which - 1].stores, log->setup);
    const std::size_t end =
        which + 1 == log->barriers.size() ? log->stores.size() : log->barriers[which + 1].stores;
    exchanged_stores around{barrier.stores, {}, {}};
    for (std::size_t i = barrier.stores; i > begin && is_users(i - 1); --i)
      around.before.push_back(i - 1);
    for (std::size_t i = barrier.stores; i < end && is_users(i); ++i) around.after.push_back(i);
    if (around.before.empty() || around.after.empty()) continue;
    bool& needed = barriers_[{barrier.file, barrier.line}];
    needed = needed || is_barrier_needed(before, log, around);
  }
}

bool omission_trials::is_barrier_needed(const death_chain& before,
                                        const std::shared_ptr<const recording>& log,
                                        const exchanged_stores& around) {
  constexpr std::size_t most = 8;  // stores on each side
  char* const base = base_of(seg_);
  death_chain deaths = before;
  deaths.push_back({log, around.at, log->stores[around.at - 1].held_after, false});
  for (std::size_t missing = 1; missing <= std::min(around.before.size(), most); ++missing) {
    for (std::size_t early = 1; early <= std::min(around.after.size(), most); ++early) {
      if (is_over_()) return true;
      states_.seek(deaths);
      const std::string bytes(base, seg_.size_bytes());
      for (std::size_t i = 0; i < missing; ++i) {
        const logged_store& store = log->stores[around.before[i]];
        std::memcpy(base + store.offset, log->old_bytes(store).data(), store.size);
      }
      for (std::size_t i = 0; i < early; ++i) {
        const logged_store& store = log->stores[around.after[i]];
        std::memcpy(base + store.offset, log->new_bytes(store).data(), store.size);
      }
      const judgement found = heirs_.ask(states_.mutexes());
      std::memcpy(base, bytes.data(), bytes.size());
      replace_heir_if_gone();
      if (found.result != verdict::ok) return true;
    }
  }
  return false;
}

void omission_trials::add_needless_barriers(std::vector<std::string>& to) const {
  for (const auto& [place, needed] : barriers_) {
    if (needed) continue;
    to.push_back(
        "the crash barrier at " + place.first + ':' + std::to_string(place.second) +
        ". With the stores around it exchanged, every state that was tried comes out well");
  }
}

void omission_trials::replace_heir_if_gone() {
  if (!heirs_.is_gone()) return;
  states_.seek({});
  heirs_.start();
}

}  // namespace outlive::killtest::detail
