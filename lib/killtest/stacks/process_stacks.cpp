#include "killtest/stacks/process_stacks.hpp"

#include <elfutils/libdwfl.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <mutex>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "dwarf/names.hpp"
#include "dwarf/symbolizer.hpp"
#include "killtest/stacks/function_lines.hpp"
#include "killtest/stacks/process_modules.hpp"

namespace outlive::killtest::detail {

namespace {

bool is_of_the_c_library(Dwfl_Module* module) {
  const char* const name =
      dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  if (name == nullptr) return false;
  const std::string_view file =
      std::string_view(name).substr(std::string_view(name).rfind('/') + 1);
  return file.starts_with("libc.so") || file.starts_with("libpthread.so");
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
  process_modules of_process;
  std::unordered_map<std::uintptr_t, place> memo;
  dwarf::symbolizer names;
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
  Dwfl* const modules = known_->of_process.get();
  Dwfl_Module* const module = modules == nullptr ? nullptr : dwfl_addrmodule(modules, address);
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

namespace {

using lines_by_place = std::map<std::pair<std::string, unsigned>, run_line>;

// Whether a process was in the code of a line; `bias`: of the module.
bool was_run(const line_code& line, Dwarf_Addr bias, const std::vector<std::uintptr_t>& sorted) {
  const auto found = std::lower_bound(sorted.begin(), sorted.end(), line.begin + bias);
  return found != sorted.end() && *found < line.end + bias;
}

// A row that is no statement adds no line: it says only that its line was run.
void add_lines(const std::vector<line_code>& code, Dwarf_Addr bias,
               const std::vector<std::uintptr_t>& sorted, lines_by_place& to) {
  for (const line_code& each : code) {
    if (!each.is_statement) continue;
    to.try_emplace({each.at.file, each.at.line},
                   run_line{each.at.file, each.at.line, each.at.function, false});
  }
  for (const line_code& each : code) {
    const auto known = to.find({each.at.file, each.at.line});
    if (known != to.end() && was_run(each, bias, sorted)) known->second.was_run = true;
  }
}

}  // namespace

std::vector<run_line> process_stacks::lines_run(const run_code& seen) {
  const std::lock_guard hold(known_->guard);
  std::vector<std::uintptr_t> sorted(seen.all.begin(), seen.all.end());
  std::sort(sorted.begin(), sorted.end());
  std::unordered_set<const void*> functions;
  lines_by_place lines;
  for (const std::uintptr_t address : seen.with_mutex) {
    const place& here = place_at(address);
    if (!here.is_tested || here.code.functions.empty()) continue;
    const Dwarf_Die& outermost = here.code.functions.back();
    Dwarf_Addr bias = 0;
    if (!functions.insert(outermost.addr).second ||
        dwfl_module_getdwarf(dwfl_addrmodule(known_->of_process.get(), address), &bias) == nullptr)
      continue;
    std::vector<line_code> code;
    for_each_line(*here.code.unit, outermost, [&](line_code line) { code.push_back(line); });
    add_lines(code, bias, sorted, lines);
  }
  std::vector<run_line> found;
  found.reserve(lines.size());
  for (auto& each : lines) found.push_back(std::move(each.second));
  return found;
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
