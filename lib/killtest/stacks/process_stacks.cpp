#include "killtest/stacks/process_stacks.hpp"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "dwarf/names.hpp"
#include "dwarf/symbolizer.hpp"
#include "killtest/process/child_process.hpp"
#include "killtest/stacks/function_lines.hpp"

namespace outlive::killtest::detail {

namespace {

// libdw keeps the files of modules open for the life of the process. A program that it executes
// must not inherit them.
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

bool is_of_the_kit(const std::string& function) noexcept {
  return function.find("outlive::killtest::detail::") != std::string::npos;
}

}  // namespace

// What is known of an address.
struct process_stacks::place {
  dwarf::found_code code;
  bool is_tested = false;  // it belongs to the program, and not to the C library
};

struct process_stacks::debug_information {
  std::mutex guard;  // of all below; libdw's handles are for one thread at a time
  Dwfl* of_process = nullptr;
  std::unordered_map<std::uintptr_t, place> memo;
  dwarf::symbolizer names;

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

std::shared_ptr<process_stacks::debug_information> process_stacks::of_this_process() {
  static std::mutex guard;
  static module_changes known_as_of;
  static std::shared_ptr<debug_information> known;
  const std::lock_guard hold(guard);
  const module_changes now = changes_of_modules();
  if (known == nullptr || now != known_as_of) known = std::make_shared<debug_information>();
  known_as_of = now;
  return known;
}

process_stacks::process_stacks() : known_(of_this_process()) {}

process_stacks::~process_stacks() = default;

const process_stacks::place& process_stacks::place_at(std::uintptr_t address) {
  const auto [entry, is_new] = known_->memo.try_emplace(address);
  place& made = entry->second;
  if (!is_new) return made;
  Dwfl_Module* const module =
      known_->of_process == nullptr ? nullptr : dwfl_addrmodule(known_->of_process, address);
  if (module == nullptr) {
    made.code.frames.emplace_back();
  } else {
    made.code = known_->names.find(module, address);
    made.is_tested = !is_of_the_c_library(module);
  }
  return made;
}

std::vector<frame> process_stacks::describe(const stack_trace& trace) {
  const std::lock_guard hold(known_->guard);
  std::vector<frame> made;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    // A return address belongs to the instruction before it.
    const std::uintptr_t address = i == 0 ? trace[i] : trace[i] - 1;
    const place& here = place_at(address);
    for (const dwarf::source_frame& each : here.code.frames) {
      if (is_of_the_kit(each.function)) return made;
      if (!dwarf::is_of_standard_library(each.file))
        made.push_back({address, each.function, each.file, each.line});
    }
    note_function(here);
  }
  return made;
}

void process_stacks::note_function(const place& here) {
  if (!here.is_tested || here.code.functions.empty()) return;
  const Dwarf_Die& outermost = here.code.functions.back();
  if (noted_.insert(outermost.addr).second) append_lines(*here.code.unit, outermost, code_);
}

std::vector<code_line> process_stacks::code() const {
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
