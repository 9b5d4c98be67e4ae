// The user's check, at the end of a run.
#pragma once

#include <string>

#include "process.hpp"
#include "torture/settings.hpp"

namespace torture {

inline constexpr const char* check_passed = "passed";

// Runs it by /bin/sh. Returns: check_passed, or what went wrong.
[[nodiscard]] std::string check(const settings& wanted, signals& incoming);

}  // namespace torture
