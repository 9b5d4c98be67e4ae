#include "killtest/stacks/function_lines.hpp"

#include <dwarf.h>

#include <cstddef>
#include <string>
#include <utility>

#include "dwarf/names.hpp"

namespace outlive::killtest::detail {

namespace {

struct code_range {
  Dwarf_Addr begin;
  Dwarf_Addr end;
  std::size_t function;  // index
};

struct named_function {
  std::string name;
  std::string file;
  int line = 0;  // of its definition
};

// A function and the functions inlined into it, outer ones first.
struct functions_of_code {
  const dwarf::unit_index& unit;
  const char* folder;
  std::vector<named_function> all;
  std::vector<code_range> ranges;

  // The innermost function at the address that can contain the line. The optimiser leaves rows of a
  // caller inside the code that it has inlined.
  [[nodiscard]] std::string name_at(Dwarf_Addr address, const std::string& file, int line) const {
    for (auto each = ranges.rbegin(); each != ranges.rend(); ++each) {
      if (address < each->begin || address >= each->end) continue;
      const named_function& function = all[each->function];
      if (function.line <= line && function.file == file) return function.name;
    }
    return {};
  }
};

void add(Dwarf_Die* function, functions_of_code& to) {
  named_function made{to.unit.name_of(*function), {}, 0};
  if (const char* const file = dwarf_decl_file(function))
    made.file = dwarf::file_path(file, to.folder);
  static_cast<void>(dwarf_decl_line(function, &made.line));
  to.all.push_back(std::move(made));
  Dwarf_Addr base = 0;
  code_range range{0, 0, to.all.size() - 1};
  for (std::ptrdiff_t at = 0;
       (at = dwarf_ranges(function, at, &base, &range.begin, &range.end)) > 0;)
    to.ranges.push_back(range);
}

void add_inlined(Dwarf_Die* in, functions_of_code& to) {
  Dwarf_Die child;
  if (dwarf_child(in, &child) != 0) return;
  do {
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_inlined_subroutine) add(&child, to);
    if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) add_inlined(&child, to);
  } while (dwarf_siblingof(&child, &child) == 0);
}

// Index of the first row at or after an address. The table is sorted.
std::size_t first_row(Dwarf_Lines* rows, std::size_t count, Dwarf_Addr address) {
  std::size_t begin = 0;
  while (count > begin) {
    const std::size_t middle = begin + (count - begin) / 2;
    Dwarf_Addr at = 0;
    dwarf_lineaddr(dwarf_onesrcline(rows, middle), &at);
    (at < address ? begin : count) = at < address ? middle + 1 : middle;
  }
  return begin;
}

// Without a line: what belongs to no source line that is shown.
line_code line_of(Dwarf_Line* row, const functions_of_code& functions, Dwarf_Addr address) {
  line_code made;
  int line = 0;
  bool is_end = false;
  if (dwarf_lineno(row, &line) != 0 || line == 0) return made;
  if (dwarf_linebeginstatement(row, &made.is_statement) != 0) return made;
  if (dwarf_lineendsequence(row, &is_end) != 0 || is_end) return made;
  const char* const name = dwarf_linesrc(row, nullptr, nullptr);
  if (name == nullptr || dwarf::is_of_standard_library(name)) return made;
  made.begin = address;
  made.at.file = dwarf::file_path(name, functions.folder);
  made.at.line = static_cast<unsigned>(line);
  made.at.function = functions.name_at(address, made.at.file, line);
  return made;
}

// The address of the first row behind this one that has another address; `end` if there is none
// before it.
Dwarf_Addr end_of_row(Dwarf_Lines* rows, std::size_t count, std::size_t row, Dwarf_Addr begin,
                      Dwarf_Addr end) {
  for (std::size_t i = row + 1; i < count; ++i) {
    Dwarf_Addr address = 0;
    if (dwarf_lineaddr(dwarf_onesrcline(rows, i), &address) != 0 || address >= end) return end;
    if (address > begin) return address;
  }
  return end;
}

}  // namespace

void for_each_line(const dwarf::unit_index& unit, Dwarf_Die function,
                   const std::function<void(line_code)>& visit) {
  Dwarf_Lines* rows = nullptr;
  std::size_t count = 0;
  if (dwarf_getsrclines(unit.unit(), &rows, &count) != 0) return;
  functions_of_code functions{unit, dwarf::folder_of(unit.unit()), {}, {}};
  add(&function, functions);
  const std::vector<code_range> own = functions.ranges;
  add_inlined(&function, functions);
  for (const code_range& each : own) {
    for (std::size_t i = first_row(rows, count, each.begin); i < count; ++i) {
      Dwarf_Line* const row = dwarf_onesrcline(rows, i);
      Dwarf_Addr address = 0;
      if (dwarf_lineaddr(row, &address) != 0 || address >= each.end) break;
      line_code found = line_of(row, functions, address);
      if (found.at.line == 0) continue;
      found.end = end_of_row(rows, count, i, address, each.end);
      visit(std::move(found));
    }
  }
}

void append_lines(const dwarf::unit_index& unit, Dwarf_Die function,
                  std::vector<code_line>& lines) {
  for_each_line(unit, function, [&](line_code found) {
    if (!found.is_statement) return;
    if (!lines.empty() && lines.back().line == found.at.line && lines.back().file == found.at.file)
      return;
    lines.push_back(std::move(found.at));
  });
}

}  // namespace outlive::killtest::detail
