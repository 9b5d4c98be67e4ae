#include <outlive/killtest/report.hpp>

#include <algorithm>
#include <ostream>

#include "killtest/report/report_text.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest {

using detail::place;

std::string_view to_string(verdict which) noexcept {
  switch (which) {
    case verdict::ok: return "ok";
    case verdict::invariant_violated: return "invariant violated";
    case verdict::repair_failed: return "repair failed";
    case verdict::repair_crashed: return "repair crashed";
    case verdict::repair_hung: return "repair hung";
    case verdict::lock_never_released: return "lock never released";
    case verdict::model_differs: return "model differs from reality";
  }
  return "unknown";
}

std::string_view to_string(engine which) noexcept {
  switch (which) {
    case engine::automatic: return "automatic";
    case engine::protection_keys: return "protection keys";
    case engine::page_protection: return "page protection";
    case engine::single_step: return "single steps";
  }
  return "unknown";
}

namespace {

bool is_inside_of_outlive(const frame& at) noexcept {
  return at.function.starts_with("outlive::detail::") ||
         at.function.starts_with("outlive::(anonymous");
}

std::string function(const frame& at) {
  return (at.function.empty() ? std::string("?") : at.function) + "()";
}

// A command to type, or a call to write into a program with a main() of its own.
std::string reproduce(const report& in, const crash_state& state) {
  if (state.deaths.empty()) return {};  // nobody died
  std::string text;
  if (in.command.empty()) {
    if (!state.image.empty())
      text = "    reproduce: outlive::killtest::replay(SCENARIO, \"" + state.image + "\")\n";
    return text + "    this state alone: explore_options::only_state = 0x" +
           outlive::detail::hex_16(state.hash) + '\n';
  }
  text = state.image.empty() ? "    for an image of it: " + in.command + " --images .\n"
                             : "    reproduce: " + in.command + " --replay " +
                                   detail::quoted_for_shell(state.image) + '\n';
  return text + "    this state alone: " + detail::command_for(in, state) + '\n';
}

void append_failure(std::string& text, const report& in, const crash_state& state,
                    std::size_t more) {
  text += "\n  " + std::string(to_string(state.result)) + ": " + state.what + '\n';
  for (std::size_t i = 0; i < state.deaths.size(); ++i) {
    const death& at = state.deaths[i];
    text += "    " + detail::death_text(at, i == 0);
    if (at.stack < in.stacks.size() && !in.stacks[at.stack].empty())
      text += ", at " + to_string(in.stacks[at.stack]);
    text += '\n';
  }
  if (!state.repaired.empty()) text += "    then an heir repaired " + state.repaired + '\n';
  if (state.confirmed) text += "    confirmed by a real SIGKILL\n";
  text += reproduce(in, state);
  if (more != 0) text += "    and " + std::to_string(more) + " more like this\n";
}

}  // namespace

std::string to_string(const std::vector<frame>& stack) {
  if (stack.empty()) return "?";
  std::string text = place(stack.front()) + " in " + function(stack.front());
  for (std::size_t i = 1; i < stack.size(); ++i) {
    // gcc splits functions in two. The calls inside outlive that lead to a repair are left out:
    // they do not interest the author of the repair.
    if (stack[i].function == stack[i - 1].function || is_inside_of_outlive(stack[i])) continue;
    text += " <- " + function(stack[i]) + " " + place(stack[i]);
  }
  return text;
}

std::size_t report::failed() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(states.begin(), states.end(),
                    [](const crash_state& each) { return each.result != verdict::ok; }));
}

bool report::ok() const noexcept {
  return fault.empty() && !states.empty() && failed() == 0;
}

const frame* report::place_of(const crash_state& state) const noexcept {
  if (state.deaths.empty() || state.deaths.back().stack >= stacks.size()) return nullptr;
  const std::vector<frame>& stack = stacks[state.deaths.back().stack];
  const auto found = std::find_if(stack.begin(), stack.end(), detail::is_users);
  return found == stack.end() ? nullptr : &*found;
}

const crash_state* report::first_failure() const noexcept {
  const auto found = std::find_if(states.begin(), states.end(), [](const crash_state& each) {
    return each.result != verdict::ok;
  });
  return found == states.end() ? nullptr : &*found;
}

std::string report::summary() const {
  std::string text = scenario + ": ";
  if (!fault.empty()) return text + "could not be explored: " + fault + '\n';
  text += std::to_string(states.size()) + " crash states of " + std::to_string(points) +
          " deaths after " + std::to_string(stores) + " stores, and " +
          std::to_string(nested_points) + " deaths of heirs; repaired " + std::to_string(repairs) +
          " times; " + std::to_string(confirmed) + " confirmed by real kills; " +
          std::to_string(failed()) + " failed (" + detail::in_ms(took) + ", " +
          std::string(to_string(used)) + ")\n";
  constexpr std::size_t max_kinds = 8;
  const std::vector<detail::failure_kind> kinds = detail::kinds_of_failures(*this);
  for (std::size_t i = 0; i < std::min(kinds.size(), max_kinds); ++i)
    append_failure(text, *this, *kinds[i].first, kinds[i].count - 1);
  if (kinds.size() > max_kinds)
    text += "\n  and " + std::to_string(kinds.size() - max_kinds) + " other kinds of failures\n";
  if (used == engine::single_step && !engine_reason.empty())
    text += "  single steps: " + engine_reason + '\n';
  for (const std::string& each : made_no_difference) text += "  made no difference: " + each + '\n';
  for (const std::string& each : unsaved) text += "  stored, and not saved: " + each + '\n';
  for (const std::string& each : cut) text += "  left out: " + each + '\n';
  for (const std::string& each : warnings) text += "  warning: " + each + '\n';
  return text;
}

std::ostream& operator<<(std::ostream& to, const report& what) {
  return to << what.summary();
}

}  // namespace outlive::killtest
