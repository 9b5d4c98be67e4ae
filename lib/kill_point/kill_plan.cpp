#include "kill_point/kill_plan.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace outlive::detail {

namespace {

constexpr std::uint64_t always = std::uint64_t{1} << 32;

enum class argument { none, number, text };

struct known_action {
  std::string_view name;
  kill_action action;
  argument takes;
  bool needed;
  std::uint32_t otherwise;  // the number if none is given
  std::uint32_t most;
};

constexpr std::array known_actions{
    known_action{"off", kill_action::off, argument::none, false, 0, 0},
    known_action{"kill", kill_action::kill, argument::none, false, 0, 0},
    known_action{"segv", kill_action::segv, argument::none, false, 0, 0},
    known_action{"abort", kill_action::abort, argument::none, false, 0, 0},
    known_action{"exit", kill_action::exit, argument::number, false, 1, 255},
    known_action{"thread-exit", kill_action::thread_exit, argument::none, false, 0, 0},
    known_action{"throw", kill_action::throw_error, argument::none, false, 0, 0},
    known_action{"pause", kill_action::pause, argument::none, false, 0, 0},
    known_action{"sleep", kill_action::sleep, argument::number, true, 0, 86'400'000},
    known_action{"print", kill_action::print, argument::text, false, 0, 0},
};

std::string all_actions() {
  std::string all;
  for (const known_action& each : known_actions)
    all += (all.empty() ? "" : ", ") + std::string(each.name);
  return all;
}

std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return text.substr(text.size());
  return text.substr(begin, text.find_last_not_of(" \t\n") + 1 - begin);
}

// Parts of the text stay views of it, so that an error can show their columns.
class parser {
 public:
  explicit parser(std::string_view whole) noexcept : whole_(whole) {}

  std::vector<kill_rule> rules() const {
    std::vector<kill_rule> made;
    for (const std::string_view each : parts(whole_, ";")) {
      // a semicolon at the end adds no point
      if (!trimmed(each).empty()) made.push_back(rule(trimmed(each)));
    }
    return made;
  }

 private:
  [[noreturn]] void fail(std::string_view at, const std::string& expected) const {
    throw std::invalid_argument("\"" + std::string(whole_) + "\", column " +
                                std::to_string(at.data() - whole_.data() + 1) + ": found \"" +
                                std::string(at) + "\", expected " + expected);
  }

  // Splits at each `by` outside of parentheses.
  static std::vector<std::string_view> parts(std::string_view text, std::string_view by) {
    std::vector<std::string_view> made;
    std::size_t begin = 0;
    bool inside = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] == '(') inside = true;
      if (text[at] == ')') inside = false;
      if (inside || text.substr(at, by.size()) != by) continue;
      made.push_back(text.substr(begin, at - begin));
      begin = at + by.size();
      at = begin - 1;
    }
    made.push_back(text.substr(begin));
    return made;
  }

  kill_rule rule(std::string_view text) const {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) fail(text, "NAME=ACTION");
    const std::string_view name = trimmed(text.substr(0, equals));
    if (name.empty()) fail(text, "the name of a kill point before \"=\"");
    kill_rule made;
    made.name = name;
    for (const std::string_view each : parts(text.substr(equals + 1), "->"))
      made.steps.push_back(step(trimmed(each)));
    return made;
  }

  std::unique_ptr<kill_step> step(std::string_view text) const {
    auto made = std::make_unique<kill_step>();
    made->chance = always;
    std::string_view rest = text;
    std::string_view before = rest.substr(0, rest.find('('));
    if (const std::size_t at = before.find('%'); at != std::string_view::npos) {
      made->chance = chance(trimmed(rest.substr(0, at)));
      rest = trimmed(rest.substr(at + 1));
      before = rest.substr(0, rest.find('('));
    }
    if (const std::size_t at = before.find('*'); at != std::string_view::npos) {
      made->left =
          number(trimmed(rest.substr(0, at)), kill_step::unlimited - 1, "how often before \"*\"");
      rest = trimmed(rest.substr(at + 1));
    }
    add_action(*made, rest);
    return made;
  }

  std::uint64_t chance(std::string_view text) const {
    double percent = 0;
    const auto done =
        std::from_chars(text.data(), text.data() + text.size(), percent, std::chars_format::fixed);
    if (done.ec != std::errc{} || done.ptr != text.data() + text.size() ||
        !(percent >= 0 && percent <= 100)) {
      fail(text, "a number from 0 to 100 before \"%\"");
    }
    return static_cast<std::uint64_t>(percent / 100 * static_cast<double>(always));
  }

  std::uint32_t number(std::string_view text, std::uint32_t most, const std::string& what) const {
    std::uint32_t value = 0;
    const auto done = std::from_chars(text.data(), text.data() + text.size(), value);
    if (done.ec != std::errc{} || done.ptr != text.data() + text.size() || value > most) {
      fail(text, what + ", a number from 0 to " + std::to_string(most));
    }
    return value;
  }

  void add_action(kill_step& to, std::string_view text) const {
    const std::size_t open = text.find('(');
    const std::string_view name = trimmed(text.substr(0, open));
    const auto* const found =
        std::find_if(known_actions.begin(), known_actions.end(),
                     [&](const known_action& each) { return each.name == name; });
    if (found == known_actions.end()) fail(name.empty() ? text : name, "one of " + all_actions());
    to.action = found->action;
    to.number = found->otherwise;
    if (open == std::string_view::npos) {
      if (found->needed) fail(text, std::string(name) + "(NUMBER)");
      return;
    }
    const std::string_view inside = text.substr(open + 1);
    if (inside.empty() || inside.back() != ')' || inside.find(')') != inside.size() - 1)
      fail(text.substr(open), "(ARGUMENT)");
    if (found->takes == argument::none)
      fail(text.substr(open), "no argument of " + std::string(name));
    const std::string_view value = trimmed(inside.substr(0, inside.size() - 1));
    if (found->takes == argument::number) {
      to.number = number(value, found->most, "the argument of " + std::string(name));
    } else {
      to.text = value;
    }
  }

  std::string_view whole_;
};

}  // namespace

bool kill_step::use_one() noexcept {
  std::uint32_t now = left.load(std::memory_order_relaxed);  // a count, which publishes nothing
  do {
    if (now == unlimited) return true;
    if (now == 0) return false;
  } while (!left.compare_exchange_weak(now, now - 1, std::memory_order_relaxed));
  return true;
}

kill_plan::kill_plan(std::string_view text) : rules_(parser(text).rules()) {}

const kill_step* kill_plan::step_at(std::string_view point,
                                    std::uint32_t (*draw)() noexcept) const noexcept {
  const auto named = [&](const kill_rule& each) { return each.name == point || each.name == "*"; };
  const auto rule = std::find_if(rules_.begin(), rules_.end(), named);
  if (rule == rules_.end()) return nullptr;
  for (const auto& each : rule->steps) {
    // no draw for a step that is used up, so that the draws of the next steps stay the same
    if (each->left.load(std::memory_order_relaxed) == 0) continue;
    if (each->chance < always && draw() >= each->chance) continue;
    if (each->use_one()) return each.get();
  }
  return nullptr;
}

bool kill_plan::is_random() const noexcept {
  return std::any_of(rules_.begin(), rules_.end(), [](const kill_rule& rule) {
    return std::any_of(rule.steps.begin(), rule.steps.end(),
                       [](const auto& each) { return each->chance < always; });
  });
}

}  // namespace outlive::detail
