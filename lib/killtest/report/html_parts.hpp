// html_parts: the parts of the HTML page.
#pragma once

#include <string>
#include <vector>

#include <outlive/killtest/report.hpp>

#include "killtest/report/coverage.hpp"

namespace outlive::killtest::detail {

// The deaths that led to a state, each with its stack.
[[nodiscard]] std::string html_deaths(const report& in, const crash_state& state);

// States that look the same to a reader: of one scenario, with one verdict and the same stacks.
struct like_states {
  state_at first;
  std::size_t count = 0;
};
// The failed ones first, each part in the order in which it was found.
[[nodiscard]] std::vector<like_states> grouped(const std::vector<state_at>& states);

[[nodiscard]] std::string html_scenario(const report& of);
[[nodiscard]] std::string html_file(const std::string& path, const source_file& file,
                                    bool with_scenario);

}  // namespace outlive::killtest::detail
