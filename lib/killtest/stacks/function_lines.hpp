// function_lines: which source lines of a function have code, whether anybody was killed there or
// not.
#pragma once

#include <elfutils/libdw.h>

#include <vector>

#include <outlive/killtest/report.hpp>

#include "dwarf/unit_index.hpp"

namespace outlive::killtest::detail {

// Those of a function's machine code, what was inlined into it included; not of the standard
// library. Some of them may come more than once.
void append_lines(const dwarf::unit_index& unit, Dwarf_Die function, std::vector<code_line>& lines);

}  // namespace outlive::killtest::detail
