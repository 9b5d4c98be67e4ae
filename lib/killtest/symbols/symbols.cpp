#include "killtest/symbols/symbols.hpp"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "killtest/process/child_process.hpp"
#include "killtest/symbols/dwarf_names.hpp"
#include "killtest/symbols/function_lines.hpp"
#include "killtest/symbols/unit_index.hpp"

namespace outlive::killtest::detail {

namespace {

// libdw keeps the files of modules open, and they are kept for the process: programs that it
// executes must not have them.
int closed_on_exec(int fd) noexcept {
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return above_standard(fd);
}

int find_elf(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base, char** file,
             Elf** elf) {
  return closed_on_exec(dwfl_linux_proc_find_elf(module, data, name, base, file, elf));
}

int find_debuginfo(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base,
                   const char* file, const char* link, GElf_Word crc, char** found) {
  return closed_on_exec(
      dwfl_standard_find_debuginfo(module, data, name, base, file, link, crc, found));
}

const Dwfl_Callbacks callbacks = {
    .find_elf = &find_elf,
    .find_debuginfo = &find_debuginfo,
    .section_address = nullptr,
    .debuginfo_path = nullptr,
};

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

// Where an inlined call stands in the caller's source.
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

bool is_of_the_c_library(Dwfl_Module* module) {
  const char* const name =
      dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  if (name == nullptr) return false;
  const std::string_view file =
      std::string_view(name).substr(std::string_view(name).rfind('/') + 1);
  return file.starts_with("libc.so") || file.starts_with("libpthread.so");
}

// How many modules have been loaded and unloaded so far.
using module_changes = std::pair<unsigned long long, unsigned long long>;

module_changes changes_of_modules() {
  module_changes found;
  const auto look = [](dl_phdr_info* module, std::size_t, void* into) {
    *static_cast<module_changes*>(into) = {module->dlpi_adds, module->dlpi_subs};
    return 1;
  };
  ::dl_iterate_phdr(look, &found);
  return found;
}

bool is_of_the_kit(const frame& each) noexcept {
  return each.function.find("outlive::killtest::detail::") != std::string::npos;
}

}  // namespace

// What is known of an address.
struct symbols::place {
  std::vector<frame> frames;
  const unit_index* unit = nullptr;
  std::vector<Dwarf_Die> functions;  // innermost first
  bool is_tested = false;            // it is of the program, and not of the C library
};

struct symbols::debug_information {
  std::mutex guard;  // libdw's handles, too: for one thread at a time
  Dwfl* of_process = nullptr;
  std::unordered_map<std::uintptr_t, place> memo;
  std::unordered_map<const void*, unit_index> units;

  debug_information() : of_process(dwfl_begin(&callbacks)) {
    if (of_process == nullptr) return;
    if (dwfl_linux_proc_report(of_process, getpid()) == 0 &&
        dwfl_report_end(of_process, nullptr, nullptr) == 0)
      return;
    dwfl_end(of_process);
    of_process = nullptr;
  }
  ~debug_information() {
    if (of_process != nullptr) dwfl_end(of_process);
  }
  debug_information(const debug_information&) = delete;
  debug_information& operator=(const debug_information&) = delete;
};

std::shared_ptr<symbols::debug_information> symbols::of_this_process() {
  static std::mutex guard;
  static module_changes known_as_of;
  static std::shared_ptr<debug_information> known;
  const std::lock_guard hold(guard);
  const module_changes now = changes_of_modules();
  if (known == nullptr || now != known_as_of) known = std::make_shared<debug_information>();
  known_as_of = now;
  return known;
}

symbols::symbols() : known_(of_this_process()) {}

symbols::~symbols() = default;

const symbols::place& symbols::place_at(std::uintptr_t address) {
  const auto [entry, is_new] = known_->memo.try_emplace(address);
  place& made = entry->second;
  if (!is_new) return made;
  Dwfl_Module* const module =
      known_->of_process == nullptr ? nullptr : dwfl_addrmodule(known_->of_process, address);
  if (module == nullptr) {
    made.frames.push_back({address, {}, {}, 0});
    return made;
  }
  source_place at = place_of(module, address);
  Dwarf_Addr bias = 0;
  if (Dwarf_Die* const unit = dwfl_module_addrdie(module, address, &bias)) {
    made.unit = &known_->units.try_emplace(unit->addr, *unit).first->second;
    made.functions = made.unit->functions_at(address - bias);
    made.is_tested = !is_of_the_c_library(module);
    for (Dwarf_Die& each : made.functions) {
      made.frames.push_back({address, made.unit->name_of(each), at.file, at.line});
      at = call_place(&each, unit);
    }
  }
  if (made.frames.empty())
    made.frames.push_back(
        {address, function_name(dwfl_module_addrname(module, address)), at.file, at.line});
  return made;
}

std::vector<frame> symbols::describe(const stack_trace& trace) {
  const std::lock_guard hold(known_->guard);
  std::vector<frame> made;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    // A return address belongs to the instruction before it.
    const place& here = place_at(i == 0 ? trace[i] : trace[i] - 1);
    for (const frame& each : here.frames) {
      if (is_of_the_kit(each)) return made;
      if (!is_plumbing(each.file)) made.push_back(each);
    }
    note_function(here);
  }
  return made;
}

void symbols::note_function(const place& here) {
  if (!here.is_tested || here.functions.empty()) return;
  const Dwarf_Die& outermost = here.functions.back();
  if (noted_.insert(outermost.addr).second) append_lines(*here.unit, outermost, code_);
}

std::vector<code_line> symbols::code() const {
  std::vector<code_line> lines = code_;
  std::sort(lines.begin(), lines.end(), [](const code_line& a, const code_line& b) {
    return std::tie(a.file, a.line) < std::tie(b.file, b.line);
  });
  const auto last = std::unique(
      lines.begin(), lines.end(),
      [](const code_line& a, const code_line& b) { return a.line == b.line && a.file == b.file; });
  lines.erase(last, lines.end());
  return lines;
}

}  // namespace outlive::killtest::detail
