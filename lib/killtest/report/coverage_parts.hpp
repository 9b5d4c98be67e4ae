// coverage_parts: the part of one scenario of a run's coverage, as a file.
#pragma once

#include <string>

#include <outlive/killtest/coverage.hpp>

namespace outlive::killtest::detail {

// Writes a part of one scenario into the folder, which it makes. It takes the place of the former
// part of this scenario of this program. Throws std::system_error, which names the file.
void write_part(const coverage& part, const std::string& folder);

}  // namespace outlive::killtest::detail
