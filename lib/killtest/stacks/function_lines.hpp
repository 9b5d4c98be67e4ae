// function_lines: the source lines of a function that have code, whether a death was there or not.
#pragma once

#include <elfutils/libdw.h>

#include <vector>

#include <outlive/killtest/report.hpp>

#include "dwarf/unit_index.hpp"

namespace outlive::killtest::detail {

// Appends the lines of a function's machine code, including code inlined into it, without the
// standard library's. A line may come more than once.
void append_lines(const dwarf::unit_index& unit, Dwarf_Die function, std::vector<code_line>& lines);

}  // namespace outlive::killtest::detail
