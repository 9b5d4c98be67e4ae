#include "dwarf/symbolizer.hpp"

#include <dwarf.h>

#include "dwarf/names.hpp"

namespace outlive::dwarf {

namespace {

struct source_place {
  std::string file;
  unsigned line = 0;
};

source_place place_of(Dwfl_Module* module, Dwarf_Addr address) {
  Dwfl_Line* const line = dwfl_module_getsrc(module, address);
  if (line == nullptr) return {};
  int number = 0;
  const char* const file = dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr);
  if (file == nullptr) return {};
  return {file_path(file, dwfl_line_comp_dir(line)), static_cast<unsigned>(number)};
}

// The place of an inlined call in the caller's source.
source_place call_place(Dwarf_Die* inlined, Dwarf_Die* unit) {
  Dwarf_Attribute attribute;
  Dwarf_Word line = 0;
  Dwarf_Word file = 0;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) != 0) return {};
  source_place place{{}, static_cast<unsigned>(line)};
  Dwarf_Files* files = nullptr;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) == 0 &&
      dwarf_getsrcfiles(unit, &files, nullptr) == 0) {
    if (const char* const name = dwarf_filesrc(files, file, nullptr, nullptr))
      place.file = file_path(name, folder_of(unit));
  }
  return place;
}

}  // namespace

std::string symbol_at(Dwfl_Module* module, Dwarf_Addr address) {
  return function_name(dwfl_module_addrname(module, address));
}

found_code symbolizer::find(Dwfl_Module* module, Dwarf_Addr address) {
  found_code found;
  source_place at;
  Dwarf_Addr bias = 0;
  Dwarf_Die* const unit = dwfl_module_addrdie(module, address, &bias);
  // For an address that no unit has, such as that of _start, libdw returns the unit before it.
  if (unit != nullptr && dwarf_haspc(unit, address - bias) > 0) {
    at = place_of(module, address);
    found.unit = &units_.try_emplace(unit->addr, *unit).first->second;
    found.functions = found.unit->functions_at(address - bias);
    for (Dwarf_Die& each : found.functions) {
      found.frames.push_back({found.unit->name_of(each), at.file, at.line});
      at = call_place(&each, unit);
    }
  }
  if (found.frames.empty()) found.frames.push_back({symbol_at(module, address), at.file, at.line});
  return found;
}

}  // namespace outlive::dwarf
