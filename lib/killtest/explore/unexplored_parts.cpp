#include "killtest/explore/unexplored_parts.hpp"

#include <cstddef>
#include <cstdint>
#include <set>

#include <outlive/killtest/report.hpp>

#include "killtest/stacks/process_stacks.hpp"

namespace outlive::killtest::detail {

std::vector<std::string> unexplored_parts(const recording& log) {
  std::set<std::uint32_t> stacks;
  for (std::size_t i = log.setup; i < log.stores.size(); ++i) {
    if (log.stores[i].in_parts) stacks.insert(log.stores[i].stack);
  }
  std::vector<std::string> found;
  if (stacks.empty()) return found;
  process_stacks names;
  for (const std::uint32_t each : stacks) {
    found.push_back("deaths within an instruction that stores to several places (scatter), at " +
                    to_string(names.describe(log.stacks[each])) +
                    ": a SIGKILL can leave some of them stored and others not");
  }
  return found;
}

}  // namespace outlive::killtest::detail
