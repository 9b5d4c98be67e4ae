// omission_trials: what can be taken out of a scenario without any state failing: repairs and crash
// barriers. A test that passes without a part proves nothing about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <outlive/segment.hpp>

#include "killtest/state/timeline.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest::detail {

class omission_trials {
 public:
  // `is_over`: whether there is no time left. What was cut short counts as needed.
  omission_trials(const segment& seg, survivors& heirs, timeline& states,
                  std::function<bool()> is_over)
      : seg_(seg), heirs_(heirs), states_(states), is_over_(std::move(is_over)) {}

  // Each mutex once more, with a repair that does nothing, in these states. Returns: the repairs
  // without which all come out well, in words. Requires: with them all do.
  [[nodiscard]] std::vector<std::string> needless_repairs(const std::vector<death_chain>& chains);

  // Takes out the barriers of a log, one after the other.
  void try_barriers(const death_chain& before, const std::shared_ptr<const recording>& log);
  // Those without which all tried states came out well, in words.
  void add_needless_barriers(std::vector<std::string>& to) const;

 private:
  // The user's stores right before a barrier, and those right after it, as indexes of the log.
  struct exchanged_stores {
    std::size_t at = 0;  // entries of the log at the barrier
    std::vector<std::size_t> before;
    std::vector<std::size_t> after;
  };
  [[nodiscard]] bool is_repair_needed(std::uint64_t mutex, const std::vector<death_chain>& chains);
  [[nodiscard]] bool is_barrier_needed(const death_chain& before,
                                       const std::shared_ptr<const recording>& log,
                                       const exchanged_stores& around);
  void replace_heir_if_gone();

  const segment& seg_;
  survivors& heirs_;
  timeline& states_;
  std::function<bool()> is_over_;
  std::map<std::pair<std::string, unsigned>, bool> barriers_;  // by place: whether it is needed
};

}  // namespace outlive::killtest::detail
