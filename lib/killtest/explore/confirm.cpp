// Real kills: each failing state, and a sample of the others, once more with a SIGKILL at the same
// store.
#include <algorithm>
#include <random>

#include "killtest/explore/explorer.hpp"
#include "killtest/heir/acts.hpp"
#include "killtest/state/segment_copy.hpp"

namespace outlive::killtest::detail {

void explorer::confirm_some() {
  std::vector<std::size_t> failing, passing;
  for (std::size_t i = 0; i < report_.states.size(); ++i) {
    if (chains_[i].empty()) continue;
    (report_.states[i].result == verdict::ok ? passing : failing).push_back(i);
  }
  std::mt19937_64 random(how_.seed);
  std::shuffle(passing.begin(), passing.end(), random);
  if (failing.size() > how_.confirm) {
    cut("real kills for " + std::to_string(failing.size() - how_.confirm) +
        " of the failing states (confirm)");
    failing.resize(how_.confirm);
  }
  if (passing.size() > how_.confirm) passing.resize(how_.confirm);
  for (const auto* const chosen : {&failing, &passing}) {
    for (const std::size_t i : *chosen) {
      confirm(report_.states[i], chains_[i]);
      show_progress();
    }
  }
}

void explorer::confirm(crash_state& state, const death_chain& deaths) {
  const auto differs = [&](const std::string& how) {
    state.result = verdict::model_differs;
    state.what = how + (state.what.empty() ? std::string() : "; expected: " + state.what);
  };
  world_->seek({});
  const segment_copy copy(seg_);
  for (const log_position& each : deaths) {
    const bool is_victim = &each == &deaths.front();
    const act what =
        is_victim ? act_of_victim(what_, how_, seg_) : act_of_heir(what_, seg_, world_->mutexes());
    const std::string fault = recorder_.kill_at(what, copy, each);
    if (!fault.empty()) {
      return differs("killed for real, the " + std::string(is_victim ? "victim" : "heir") +
                     " was not where it should die: " + fault);
    }
  }
  world_->seek(deaths);
  if (const auto offset = world_->first_difference(copy.bytes())) {
    return differs("a real SIGKILL left other bytes " + place_of(seg_, *offset));
  }
  heirs fresh(what_, seg_, true, how_.time_limit);
  const judgement found = fresh.ask_about(copy.fd(), world_->mutexes());
  if (found.result != state.result) {
    return differs("after a real SIGKILL the heir came to \"" +
                   std::string(to_string(found.result)) + "\" " + found.what);
  }
  state.confirmed = true;
  ++report_.confirmed;
}

}  // namespace outlive::killtest::detail
