// found_states: the distinct states that a search has found, each with the deaths that leave it,
// and their places in code. They stand in the report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <outlive/killtest/report.hpp>
#include <outlive/segment.hpp>

#include "killtest/state/timeline.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest::detail {

// Whether a real SIGKILL can leave a state by itself.
enum class killable { yes, no };

class found_states {
 public:
  // They go into `report::states`, and the stacks of deaths into `report::stacks`.
  found_states(segment& seg, report& into) : seg_(seg), report_(into) { stacks_.emplace_back(); }
  found_states(const found_states&) = delete;
  found_states& operator=(const found_states&) = delete;

  // `deaths`: none, if it is the state at the victim's end.
  void add(const death_chain& deaths, std::uint64_t hash, const judgement& found,
           killable by_kill = killable::yes);
  // Counts a death here among the points of its stack.
  void count_point(const log_position& at);
  // Forgets all states but the last.
  void keep_last();
  void clear();

  [[nodiscard]] std::size_t size() const noexcept { return chains_.size(); }
  [[nodiscard]] const std::vector<death_chain>& chains() const noexcept { return chains_; }
  [[nodiscard]] bool is_killable(std::size_t state) const noexcept {
    return !chains_[state].empty() && !unkillable_.contains(state);
  }

  // Writes the bytes of failing states into files below this folder. Says in the report where.
  void write_images(const std::string& folder, timeline& states);
  // Gives the report its stacks as functions and lines.
  void describe_stacks();

 private:
  [[nodiscard]] std::size_t stack_index(const log_position& at);

  segment& seg_;
  report& report_;
  std::vector<death_chain> chains_;                       // of report_.states
  std::unordered_set<std::size_t> unkillable_;            // indexes of states
  std::unordered_map<std::size_t, stack_trace> crashes_;  // of heirs, by index of the state
  std::vector<stack_trace> stacks_;                       // of the report, as addresses
  std::unordered_map<std::uint64_t, std::size_t> stack_of_;
};

}  // namespace outlive::killtest::detail
