// One run from the first worker's start to the end of the check.
#pragma once

#include "process.hpp"
#include "torture/settings.hpp"
#include "torture/statistics.hpp"

namespace torture {

// Errors: std::exception when it could not be begun: no such program, workers that end at once, no
//   segment.
[[nodiscard]] statistics run(const settings& wanted, signals& incoming);

}  // namespace torture
