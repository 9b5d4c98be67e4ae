// real_kills: states that were made from logs, once more by real SIGKILLs at the same stores.
#pragma once

#include <functional>
#include <string>

#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>
#include <outlive/segment.hpp>

#include "killtest/explore/found_states.hpp"
#include "killtest/state/timeline.hpp"
#include "killtest/trace/recorder.hpp"

namespace outlive::killtest::detail {

class real_kills {
 public:
  real_kills(const scenario& what, const explore_options& how, segment& seg, timeline& states,
             recorder& by)
      : what_(what), how_(how), seg_(seg), states_(states), recorder_(by) {}

  // Some of the failing states of the report, and a sample of the others. A state that a real kill
  // does not confirm gets verdict::model_differs. `progress` is called after each.
  // Returns: how many failing states were left out.
  [[nodiscard]] std::size_t confirm_some(report& of, const found_states& found,
                                         const std::function<void()>& progress);

 private:
  // Returns: what differs; empty if nothing does.
  [[nodiscard]] std::string difference_to(const crash_state& state, const death_chain& deaths);

  const scenario& what_;
  const explore_options& how_;
  segment& seg_;
  timeline& states_;
  recorder& recorder_;
};

}  // namespace outlive::killtest::detail
