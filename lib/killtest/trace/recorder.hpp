// recorder: logs the stores of a process, and kills a process at a place in such a log, by the
// chosen engine.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <outlive/killtest/report.hpp>

#include "killtest/state/segment_copy.hpp"
#include "killtest/state/timeline.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/survivor/workload.hpp"

namespace outlive::killtest::detail {

class recorder {
 public:
  recorder(segment& seg, std::chrono::milliseconds limit) : seg_(seg), limit_(limit) {}

  // Chooses that engine, or the fastest of this machine. Returns: why it is not available; nullptr
  // if it is.
  [[nodiscard]] const char* choose(engine wanted);
  [[nodiscard]] engine chosen() const noexcept { return chosen_; }

  // Logs a process that begins in the state in the segment. `fault`: why the log cannot be used.
  [[nodiscard]] std::shared_ptr<const recording> record(const workload& what, std::string& fault);

  // Runs the process on a copy, and kills it by a real SIGKILL at that place. Returns: what went
  // wrong; empty if it died there.
  [[nodiscard]] std::string kill_at(const workload& what, const segment_copy& copy,
                                    const log_position& at);

 private:
  [[nodiscard]] int record_by_faults(const workload& what, std::string& fault);
  [[nodiscard]] int record_by_steps(const workload& what, std::string& fault);

  segment& seg_;
  std::chrono::milliseconds limit_;
  engine chosen_ = engine::automatic;
  store_log log_;
};

}  // namespace outlive::killtest::detail
