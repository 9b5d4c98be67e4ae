// One run from the first worker's start to the end of the check.
#pragma once

#include "process.hpp"
#include "torture/figures.hpp"
#include "torture/settings.hpp"

namespace torture {

// Errors: std::exception when it could not be begun: no such program, workers that end at once, no
//   segment.
[[nodiscard]] figures run(const settings& wanted, signals& incoming);

}  // namespace torture
