// sequence_run: runs one sequence after the other, each from the same first state.
//
// An operation runs in a process of its own on a private view, and its stores are logged. The log
// is played up to the death. Heirs are logged and played in the same way. So a sequence is a chain
// of logs, and the next sequence begins by playing the chain back.
#pragma once

#include <any>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <outlive/killtest/sequences.hpp>

#include "killtest/sequences/sequence.hpp"
#include "killtest/state/timeline.hpp"
#include "killtest/trace/recorder.hpp"

namespace outlive::killtest::detail {

class sequence_run {
 public:
  // Requires: `seg` has the objects that `make` made.
  sequence_run(const erased_model_test& test, const sequence_options& how, segment& seg);

  // Why no engine is available here; nullptr if there is one.
  [[nodiscard]] const char* why_not() const noexcept { return why_not_; }

  struct result {
    std::size_t steps = 0;  // that were run; the last of them failed if `what` is not empty
    std::string what;       // what is wrong after it
    std::size_t deaths = 0;
    std::size_t heirs = 0;
  };
  // Numbers of stores in `all` become those at which the operations died.
  [[nodiscard]] result run(sequence& all);

 private:
  [[nodiscard]] std::string step(sequence_step& what, result& to);
  // Plays the log up to the death after so many executed stores of its tested part. Returns:
  // whether all of its changes were made.
  bool play(const std::shared_ptr<const recording>& log, std::uint32_t executed);
  [[nodiscard]] std::string recover(const sequence_step& what, result& to);
  [[nodiscard]] std::string observe(std::string& seen);
  [[nodiscard]] std::string compare(const std::any& before, bool died);

  const erased_model_test& test_;
  const sequence_options& how_;
  segment& seg_;
  recorder recorder_;
  timeline timeline_;
  std::vector<log_position> chain_;
  std::any model_;
  const char* why_not_;
};

}  // namespace outlive::killtest::detail
