#include "killtest/explore/real_kills.hpp"

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

#include "killtest/explore/checked_logs.hpp"
#include "killtest/state/segment_copy.hpp"
#include "killtest/survivor/survivors.hpp"
#include "killtest/survivor/workload.hpp"

namespace outlive::killtest::detail {

std::size_t real_kills::confirm_some(report& of, const found_states& found,
                                     const std::function<void()>& progress) {
  std::vector<std::size_t> failing, passing;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found.is_killable(i)) continue;
    (of.states[i].result == verdict::ok ? passing : failing).push_back(i);
  }
  std::mt19937_64 random(how_.seed);
  std::shuffle(passing.begin(), passing.end(), random);
  const std::size_t left_out = failing.size() - std::min(failing.size(), how_.confirm);
  for (auto* const chosen : {&failing, &passing}) {
    if (chosen->size() > how_.confirm) chosen->resize(how_.confirm);
    for (const std::size_t i : *chosen) {
      crash_state& state = of.states[i];
      const std::string differs = difference_to(state, found.chains()[i]);
      state.confirmed = differs.empty();
      if (state.confirmed) {
        ++of.confirmed;
      } else {
        state.result = verdict::model_differs;
        state.what = differs + (state.what.empty() ? std::string() : "; expected: " + state.what);
      }
      progress();
    }
  }
  return left_out;
}

std::string real_kills::difference_to(const crash_state& state, const death_chain& deaths) {
  states_.seek({});
  const segment_copy copy(seg_);
  for (const log_position& each : deaths) {
    const bool is_victim = &each == &deaths.front();
    const workload what = is_victim
                              ? workload_of_victim(what_, how_, seg_)
                              : workload_of_heir(what_, seg_, states_.mutexes(), each.log->alone);
    const std::string fault = recorder_.kill_at(what, copy, each);
    if (!fault.empty()) {
      return "a real SIGKILL did not hit the " + std::string(is_victim ? "victim" : "heir") +
             " at its place: " + fault;
    }
  }
  states_.seek(deaths);
  if (const auto at = states_.first_difference(copy.bytes()))
    return "a real SIGKILL left " + other_bytes(seg_, *at) + and_how_to_ignore(seg_, *at);
  survivors fresh(what_, seg_, true, how_.time_limit);
  const judgement found = fresh.ask_about(copy.fd(), states_.mutexes());
  if (found.result != state.result) {
    return "after a real SIGKILL the heir came to \"" + std::string(to_string(found.result)) +
           "\" " + found.what;
  }
  return {};
}

}  // namespace outlive::killtest::detail
