#include "killtest/explore/found_states.hpp"

#include <cstring>
#include <fstream>
#include <ios>
#include <utility>

#include "killtest/stacks/process_stacks.hpp"
#include "killtest/state/private_view.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest::detail {

void found_states::add(const death_chain& deaths, std::uint64_t hash, const judgement& found,
                       killable by_kill) {
  crash_state state;
  state.hash = hash;
  for (const log_position& each : deaths) {
    state.deaths.push_back({each.stores - each.log->setup, each.before_next, stack_index(each),
                            each.log->alone ? name_of(seg_, *each.log->alone) : std::string()});
  }
  state.result = found.result;
  state.what = found.what;
  state.repaired = found.repairs;
  if (!found.crashed_at.empty()) crashes_.emplace(size(), found.crashed_at);
  if (by_kill == killable::no) unkillable_.insert(size());
  report_.states.push_back(std::move(state));
  chains_.push_back(deaths);
}

void found_states::count_point(const log_position& at) {
  const std::size_t stack = stack_index(at);
  if (report_.points_at.size() <= stack) report_.points_at.resize(stack + 1);
  ++report_.points_at[stack];
}

void found_states::keep_last() {
  const std::size_t last = size() - 1;
  const auto others = static_cast<std::ptrdiff_t>(last);
  chains_.erase(chains_.begin(), chains_.begin() + others);
  if (const auto crash = crashes_.extract(last); !crash.empty()) crashes_ = {{0, crash.mapped()}};
  if (unkillable_.contains(last)) unkillable_ = {0};
  report_.states.erase(report_.states.begin(), report_.states.begin() + others);
}

void found_states::clear() {
  report_.states.clear();
  chains_.clear();
  crashes_.clear();
  unkillable_.clear();
}

void found_states::write_images(const std::string& folder, timeline& states) {
  constexpr std::size_t max_images = 16;
  std::size_t written = 0;
  for (std::size_t i = 0; i < size() && written < max_images; ++i) {
    crash_state& state = report_.states[i];
    if (state.result == verdict::ok || chains_[i].empty()) continue;
    states.seek(chains_[i]);
    const std::string path = folder + "/crash-" + outlive::detail::hex_16(state.hash) + ".seg";
    const std::string bytes(base_of(seg_), seg_.size_bytes());
    if (!is_killable(i)) use_up_attempts(seg_, states.mutexes());
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(base_of(seg_), static_cast<std::streamsize>(seg_.size_bytes()));
    std::memcpy(base_of(seg_), bytes.data(), bytes.size());
    if (!file.flush()) {
      report_.warnings.push_back(path + ": could not be written");
      return;
    }
    state.image = path;
    ++written;
  }
}

std::size_t found_states::stack_index(const log_position& at) {
  if (at.stores == at.log->setup || at.stores == 0) return 0;
  const stack_trace& trace = at.log->stacks[at.log->stores[at.stores - 1].stack];
  std::uint64_t hash = trace.size();
  for (const std::uintptr_t each : trace) hash = (hash ^ each) * 0x9e3779b97f4a7c15 + (hash >> 31);
  const auto [found, is_new] = stack_of_.try_emplace(hash, stacks_.size());
  if (is_new) stacks_.push_back(trace);
  return found->second;
}

void found_states::describe_stacks() {
  process_stacks names;
  for (const stack_trace& each : stacks_) report_.stacks.push_back(names.describe(each));
  report_.code = names.code();
  for (const auto& [state, stack] : crashes_)
    report_.states[state].what += ", at " + to_string(names.describe(stack));
  report_.points_at.resize(stacks_.size());
}

}  // namespace outlive::killtest::detail
