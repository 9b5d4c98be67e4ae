#include "killtest/report/html_parts.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "killtest/report/report_text.hpp"

namespace outlive::killtest::detail {

namespace {

std::string html_stack(const std::vector<frame>& stack) {
  std::string text = "<ol class=\"stack\">";
  for (const frame& each : stack)
    text += "<li>" + escaped(place(each)) + " in " +
            escaped(each.function.empty() ? "?" : each.function) + "()</li>";
  return text + "</ol>";
}

std::string html_death(const report& in, const death& at, bool is_victims) {
  std::string text = "<div class=\"death\">" + death_text(at, is_victims);
  if (at.stack < in.stacks.size() && !in.stacks[at.stack].empty())
    text += ", at" + html_stack(in.stacks[at.stack]);
  return text + "</div>";
}

// Stacks that differ in the frames of outlive and of libraries only are alike.
std::string users_frames(const report& in, const death& at) {
  std::string text;
  if (at.stack >= in.stacks.size()) return text;
  for (const frame& each : in.stacks[at.stack]) {
    if (is_users(each)) text += place(each) + ' ';
  }
  return text;
}

std::string figure(const char* name, const std::string& value) {
  return std::string("<div><dt>") + name + "</dt><dd>" + escaped(value) + "</dd></div>";
}

std::string html_figures(const report& of) {
  return "<dl class=\"figures\">" + figure("crash states", std::to_string(of.states.size())) +
         figure("failed", std::to_string(of.failed())) +
         figure("deaths", std::to_string(of.points)) +
         figure("deaths of heirs", std::to_string(of.nested_points)) +
         figure("stores", std::to_string(of.stores)) +
         figure("repairs", std::to_string(of.repairs)) +
         figure("confirmed by real kills", std::to_string(of.confirmed)) +
         figure("engine", std::string(to_string(of.used))) + figure("took", in_ms(of.took)) +
         "</dl>";
}

std::string html_failure(const report& in, const crash_state& state, std::size_t count) {
  std::string text = "<details class=\"failure\"><summary><strong>" +
                     escaped(to_string(state.result)) + ":</strong> " + escaped(state.what);
  text += " <span class=\"quiet\">(" + counted(count, "crash state") + ")</span></summary>" +
          html_deaths(in, state);
  if (!state.repaired.empty())
    text += "<p class=\"quiet\">then an heir repaired " + escaped(state.repaired) + "</p>";
  if (!in.command.empty() && !state.deaths.empty())
    text += "<p class=\"quiet\">this state alone: <code>" + escaped(command_for(in, state)) +
            "</code></p>";
  if (state.confirmed) text += "<p class=\"quiet\">confirmed by a real SIGKILL</p>";
  if (!state.image.empty())
    text += "<p class=\"quiet\">its image: <code>" + escaped(state.image) + "</code></p>";
  return text + "</details>";
}

// The first of each kind, and how many there are.
std::string html_failures(const report& of) {
  constexpr std::size_t max_kinds = 20;
  const std::vector<failure_kind> kinds = kinds_of_failures(of);
  std::string text;
  for (std::size_t i = 0; i < std::min(kinds.size(), max_kinds); ++i)
    text += html_failure(of, *kinds[i].first, kinds[i].count);
  if (kinds.size() > max_kinds)
    text += "<p>and " + counted(kinds.size() - max_kinds, "other kind") + " of failures</p>";
  return text;
}

}  // namespace

std::string html_deaths(const report& in, const crash_state& state) {
  std::string text;
  for (std::size_t i = 0; i < state.deaths.size(); ++i)
    text += html_death(in, state.deaths[i], i == 0);
  return text;
}

std::vector<like_states> grouped(const std::vector<state_at>& states) {
  std::map<std::tuple<const report*, verdict, std::string, std::string>, std::size_t> known;
  std::vector<like_states> made;
  for (const state_at& each : states) {
    const bool failed = each.state->result != verdict::ok;
    std::string stacks;
    // Only the last death of a passing state is shown.
    for (const death& at : each.state->deaths) {
      if (failed || &at == &each.state->deaths.back()) stacks += users_frames(*each.in, at) + '\n';
    }
    const auto [entry, is_new] = known.try_emplace(
        {each.in, each.state->result, without_numbers(each.state->what), std::move(stacks)},
        made.size());
    if (is_new) made.push_back({each, 0});
    ++made[entry->second].count;
  }
  std::stable_partition(made.begin(), made.end(), [](const like_states& each) {
    return each.first.state->result != verdict::ok;
  });
  return made;
}

std::string html_scenario(const report& of) {
  const bool explored = of.fault.empty() && !of.states.empty();
  const char* const kind = of.ok() ? "ok" : explored ? "failed" : "broken";
  const std::string badge = of.ok()    ? "ok"
                            : explored ? std::to_string(of.failed()) + " failed"
                                       : "could not be explored";
  std::string text = std::string("<article class=\"scenario\" data-outcome=\"") + kind +
                     "\"><header><h3>" + escaped(of.scenario) + "</h3><span class=\"badge " + kind +
                     "\">" + badge + "</span></header>";
  if (!explored)
    return text + "<p>" + escaped(of.fault.empty() ? "nothing was killed" : of.fault) +
           "</p></article>\n";
  text += html_figures(of) + html_failures(of);
  for (const std::string& each : of.made_no_difference)
    text += "<p class=\"quiet\">made no difference: " + escaped(each) + "</p>";
  for (const std::string& each : of.unsaved)
    text += "<p class=\"quiet\">stored, and not saved: " + escaped(each) + "</p>";
  for (const std::string& each : of.cut)
    text += "<p class=\"quiet\">left out: " + escaped(each) + "</p>";
  for (const std::string& each : of.warnings)
    text += "<p class=\"quiet\">warning: " + escaped(each) + "</p>";
  return text + "</article>\n";
}

}  // namespace outlive::killtest::detail
