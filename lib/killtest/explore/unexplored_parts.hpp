// unexplored_parts: deaths within an instruction, which no log shows.
#pragma once

#include <string>
#include <vector>

#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// The instructions of the log's tested part that store to several places, and that a death can
// interrupt in between: in words, with their places in code, each once. A log has only the states
// before and after them, and a real SIGKILL cannot be aimed between two elements.
[[nodiscard]] std::vector<std::string> unexplored_parts(const recording& log);

}  // namespace outlive::killtest::detail
