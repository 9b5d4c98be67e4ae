#include "killtest/symbols.hpp"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace outlive::killtest::detail {

namespace {

const Dwfl_Callbacks callbacks = {
    .find_elf = &dwfl_linux_proc_find_elf,
    .find_debuginfo = &dwfl_standard_find_debuginfo,
    .section_address = nullptr,
    .debuginfo_path = nullptr,
};

std::string demangled(const char* name) {
  if (name == nullptr) return {};
  int status = 0;
  char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string made = status == 0 && text != nullptr ? text : name;
  std::free(text);
  return made;
}

// "void bank::transfer(int)" as "bank::transfer": what a stack has room for.
std::string short_name(std::string name) {
  if (const auto at = name.find('('); at != std::string::npos && at != 0 && name.find("{lambda") == std::string::npos &&
                                      name.find("(anonymous") != at) {
    name.resize(at);
  }
  return name;
}

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
  return {file, static_cast<unsigned>(number)};
}

std::string linkage_name(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Attribute* found = dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute);
  if (found == nullptr) found = dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute);
  if (found != nullptr) return short_name(demangled(dwarf_formstring(found)));
  const char* const plain = dwarf_diename(die);
  return plain == nullptr ? std::string() : plain;
}

// Where an inlined call stands in the caller's source.
source_place call_place(Dwarf_Die* inlined, Dwarf_Die* unit) {
  Dwarf_Attribute attribute;
  Dwarf_Word line = 0;
  Dwarf_Word file = 0;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) != 0) return {};
  source_place place{{}, static_cast<unsigned>(line)};
  Dwarf_Files* files = nullptr;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) == 0 && dwarf_getsrcfiles(unit, &files, nullptr) == 0) {
    if (const char* const name = dwarf_filesrc(files, file, nullptr, nullptr)) place.file = name;
  }
  return place;
}

bool is_of_the_kit(const frame& each) noexcept {
  return each.function.find("outlive::killtest::detail::") != std::string::npos;
}

bool is_plumbing(const frame& each) noexcept {
  return each.file.find("/include/c++/") != std::string::npos;
}

}  // namespace

struct symbols::debug_information {
  Dwfl* of_process = nullptr;
};

symbols::symbols() : known_(std::make_unique<debug_information>()) {
  known_->of_process = dwfl_begin(&callbacks);
  if (known_->of_process == nullptr) return;
  if (dwfl_linux_proc_report(known_->of_process, getpid()) != 0 || dwfl_report_end(known_->of_process, nullptr, nullptr) != 0) {
    dwfl_end(known_->of_process);
    known_->of_process = nullptr;
  }
}

symbols::~symbols() {
  if (known_->of_process != nullptr) dwfl_end(known_->of_process);
}

const std::vector<frame>& symbols::frames_at(std::uintptr_t address) {
  const auto [entry, is_new] = memo_.try_emplace(address);
  std::vector<frame>& made = entry->second;
  if (!is_new) return made;
  Dwfl_Module* const module = known_->of_process == nullptr ? nullptr : dwfl_addrmodule(known_->of_process, address);
  if (module == nullptr) {
    made.push_back({address, {}, {}, 0});
    return made;
  }
  source_place place = place_of(module, address);
  Dwarf_Addr bias = 0;
  if (Dwarf_Die* const unit = dwfl_module_addrdie(module, address, &bias)) {
    Dwarf_Die* scopes = nullptr;
    const int count = dwarf_getscopes(unit, address - bias, &scopes);
    for (int i = 0; i < count; ++i) {
      const int tag = dwarf_tag(&scopes[i]);
      if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
      made.push_back({address, linkage_name(&scopes[i]), place.file, place.line});
      if (tag == DW_TAG_subprogram) break;
      place = call_place(&scopes[i], unit);
    }
    std::free(scopes);
  }
  if (made.empty()) made.push_back({address, short_name(demangled(dwfl_module_addrname(module, address))), place.file, place.line});
  return made;
}

std::vector<frame> symbols::describe(const stack_trace& trace) {
  std::vector<frame> made;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    // A return address belongs to the instruction before it.
    for (const frame& each : frames_at(i == 0 ? trace[i] : trace[i] - 1)) {
      if (is_of_the_kit(each)) return made;
      if (!is_plumbing(each)) made.push_back(each);
    }
  }
  return made;
}

}  // namespace outlive::killtest::detail
