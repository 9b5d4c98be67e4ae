#include "killtest/schedule/schedule.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <system_error>

namespace outlive::killtest::detail {

std::string text_of(const schedule& all) {
  std::string text;
  for (const schedule_step& each : all) {
    if (!text.empty()) text += ' ';
    text += std::to_string(each.thread);
    if (each.until != to_its_end) text += '@' + std::to_string(each.until);
    if (each.dies) text += '!';
  }
  return text;
}

namespace {

schedule_step step_from(std::string_view text) {
  schedule_step made;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](auto& into) {
    const auto [behind, error] = std::from_chars(at, end, into);
    if (error != std::errc()) throw std::invalid_argument("no number");
    at = behind;
  };
  number(made.thread);
  if (at != end && *at == '@') {
    ++at;
    number(made.until);
  }
  if (at != end && *at == '!') {
    ++at;
    made.dies = true;
  }
  if (at != end || made.thread >= max_scheduled) throw std::invalid_argument("no step");
  return made;
}

}  // namespace

schedule schedule_from(std::string_view text) {
  schedule made;
  std::size_t at = 0;
  try {
    while (at < text.size()) {
      const std::size_t end = std::min(text.find(' ', at), text.size());
      if (end != at) made.push_back(step_from(text.substr(at, end - at)));
      at = end + 1;
    }
  } catch (const std::invalid_argument&) {
    throw std::invalid_argument("found the schedule \"" + std::string(text) +
                                "\", expected steps such as \"0@57 1 0@60!\"");
  }
  return made;
}

}  // namespace outlive::killtest::detail
