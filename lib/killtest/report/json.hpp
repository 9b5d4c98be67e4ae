// json: reports for other programs.
#pragma once

#include <span>
#include <string>

#include <outlive/killtest/report.hpp>

namespace outlive::killtest::detail {

// An array with an object for each; of the states only the failed ones are in it.
[[nodiscard]] std::string to_json(std::span<const report> reports);

}  // namespace outlive::killtest::detail
