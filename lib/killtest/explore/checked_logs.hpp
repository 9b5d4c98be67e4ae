// checked_logs: the logs of a victim and its heirs, compared with runs without a log.
//
// A system call that writes into the segment fails while the segment is write-protected. The victim
// may throw then, or take another path. A run without a log, which leaves other bytes then, shows
// that.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>
#include <outlive/segment.hpp>

#include "killtest/state/timeline.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/workload.hpp"
#include "killtest/trace/plain_run.hpp"
#include "killtest/trace/recorder.hpp"

namespace outlive::killtest::detail {

// The place of a difference, and both values: those here are of the log, or of the first run.
[[nodiscard]] std::string other_bytes(const segment& seg, const different_word& at);
// The line that says that this word does not count; empty if it is in no object.
[[nodiscard]] std::string and_how_to_ignore(const segment& seg, const different_word& at);

class checked_logs {
 public:
  // Why there is no log goes into report::fault, and why an engine was chosen into engine_reason.
  checked_logs(const scenario& what, const explore_options& how, segment& seg, timeline& states,
               report& into)
      : what_(what),
        how_(how),
        seg_(seg),
        states_(states),
        report_(into),
        recorder_(seg, how.time_limit) {}

  // Requires: the state without any death. Returns: nullptr if there is none.
  [[nodiscard]] std::shared_ptr<const recording> record_victim();
  // Of an heir that recovers everything, or `alone`, from the state after these deaths, which is in
  // the segment. `fault`: why it cannot be used.
  [[nodiscard]] std::shared_ptr<const recording> record_heir(const death_chain& after,
                                                             std::optional<std::uint64_t> alone,
                                                             std::string& fault);
  [[nodiscard]] recorder& by() noexcept { return recorder_; }

 private:
  [[nodiscard]] std::shared_ptr<const recording> record_victim_by(engine which);
  [[nodiscard]] std::string difference_to(const plain_run& plain, death_chain deaths,
                                          const std::shared_ptr<const recording>& log);
  [[nodiscard]] std::string difference_between_runs(const plain_run& plain, const workload& what,
                                                    const std::string& who);

  const scenario& what_;
  const explore_options& how_;
  segment& seg_;
  timeline& states_;
  report& report_;
  recorder recorder_;
  unsigned compared_heirs_ = 0;  // how many were compared with a run without a log
};

}  // namespace outlive::killtest::detail
