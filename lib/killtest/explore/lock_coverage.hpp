// lock_coverage: what a scenario adds to the coverage of a test run
// (<outlive/killtest/coverage.hpp>).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/segment.hpp>

#include "killtest/state/timeline.hpp"
#include "killtest/stores/run_code.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/workload.hpp"

namespace outlive::killtest::detail {

class lock_coverage {
 public:
  lock_coverage(segment& seg, const explore_options& how);

  // Whether a part is wanted at all.
  [[nodiscard]] bool is_wanted() const noexcept { return !folder_.empty(); }
  // Whether no heir that was followed came the way of this log.
  // Requires: states.learn_locks(log).
  [[nodiscard]] bool is_new(const timeline& states, const recording& log);
  // Runs the process by single steps, from the state in the segment, to see what it executes.
  void follow(const workload& what, const std::string& who);
  // Writes the part, with what `of` says was left out.
  // Throws: std::system_error, which names the file.
  void write(const report& of) const;

 private:
  segment& seg_;
  std::string folder_;
  std::chrono::milliseconds limit_;
  std::optional<store_log> log_;  // from the first process that is followed
  run_code seen_;
  std::unordered_set<std::uint64_t> ways_;
  std::vector<std::string> left_out_;
};

}  // namespace outlive::killtest::detail
