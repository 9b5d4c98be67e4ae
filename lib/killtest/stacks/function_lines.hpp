// function_lines: the source lines of a function that have code, whether a death was there or not.
#pragma once

#include <elfutils/libdw.h>

#include <functional>
#include <vector>

#include <outlive/killtest/report.hpp>

#include "dwarf/unit_index.hpp"

namespace outlive::killtest::detail {

// A line that has code, with the addresses of that code in its module.
struct line_code {
  code_line at;
  Dwarf_Addr begin = 0;
  Dwarf_Addr end = 0;
  bool is_statement = false;  // false: the rest of a line that begins elsewhere
};
// Those of a function's machine code, including code inlined into it, without the standard
// library's.
void for_each_line(const dwarf::unit_index& unit, Dwarf_Die function,
                   const std::function<void(line_code)>& visit);

// Appends the lines of a function's machine code, including code inlined into it, without the
// standard library's. A line may come more than once.
void append_lines(const dwarf::unit_index& unit, Dwarf_Die function, std::vector<code_line>& lines);

}  // namespace outlive::killtest::detail
