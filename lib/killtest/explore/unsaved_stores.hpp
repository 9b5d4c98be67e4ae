// unsaved_stores: stores within a transaction that its roll-back would not undo.
#pragma once

#include <string>
#include <vector>

#include <outlive/segment.hpp>

#include "killtest/state/timeline.hpp"
#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// Those of the log's tested part, in words: where they went, and where they were made.
// Requires: learn_locks(log).
[[nodiscard]] std::vector<std::string> unsaved_stores(const segment& seg, const timeline& states,
                                                      const recording& log);

}  // namespace outlive::killtest::detail
