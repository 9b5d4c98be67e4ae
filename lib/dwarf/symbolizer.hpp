// symbolizer: a code address as functions and source lines, by elfutils libdw. The kit asks about
// the process that it runs in, the tool about files of other processes: each opens its modules in
// its own way (Dwfl).
#pragma once

#include <elfutils/libdwfl.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "dwarf/unit_index.hpp"

namespace outlive::dwarf {

struct source_frame {
  std::string function;  // empty if it is not known
  std::string file;      // empty without debugging information
  unsigned line = 0;
};

// What is known of an address. Both lists: the innermost inlined function first.
struct found_code {
  std::vector<source_frame> frames;  // at least one
  // Of the frames; empty without debugging information, and then there is no unit.
  std::vector<Dwarf_Die> functions;
  const unit_index* unit = nullptr;  // lives as long as the symbolizer
};

// For one session of libdw, and for one thread at a time, as libdw's handles are.
class symbolizer {
 public:
  // Requires: the module contains the address. For a return address, pass the address of a byte of
  //   the call: one less.
  [[nodiscard]] found_code find(Dwfl_Module* module, Dwarf_Addr address);

 private:
  std::unordered_map<const void*, unit_index> units_;
};

// By the symbol table alone: the function that contains the address, inlined functions ignored.
[[nodiscard]] std::string symbol_at(Dwfl_Module* module, Dwarf_Addr address);

}  // namespace outlive::dwarf
