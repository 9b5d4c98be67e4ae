#include "source_lines.hpp"

#include <elfutils/libdwfl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "dwarf/names.hpp"
#include "dwarf/symbolizer.hpp"

namespace {

// No debuginfod: a look at a stuck program must not wait for a server.
int find_debuginfo(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base,
                   const char* file, const char* link, GElf_Word crc, char** debuginfo) {
  ::unsetenv("DEBUGINFOD_URLS");
  return dwfl_standard_find_debuginfo(module, data, name, base, file, link, crc, debuginfo);
}

const Dwfl_Callbacks callbacks{dwfl_build_id_find_elf, find_debuginfo, dwfl_offline_section_address,
                               nullptr};

// Code that stands between a program and its mutex. Where it was inlined, the line that called it
// counts.
bool is_plumbing(std::string_view file) noexcept {
  return file.find("/include/outlive/") != file.npos ||
         outlive::dwarf::is_of_standard_library(file);
}

// Without what stands between the outermost < and >, if the name is long: nobody reads 180
// characters of template arguments.
std::string shortened(const std::string& function) {
  constexpr std::size_t readable = 60;
  if (function.size() <= readable || function.find("operator") != std::string::npos)
    return function;
  std::string made;
  int depth = 0;
  for (const char each : function) {
    if (each == '>' && --depth == 0)
      made += "...>";
    else if (each == '<' && depth++ == 0)
      made += '<';
    else if (depth == 0)
      made += each;
  }
  return made;
}

// Of libraries that no user of outlive looks into.
bool is_of_system(std::string_view module) noexcept {
  const std::string_view name = module.substr(module.rfind('/') + 1);
  for (const std::string_view begin :
       {"liboutlive", "libc.so", "libc-", "libpthread", "libstdc++", "libgcc_s", "ld-linux"}) {
    if (name.starts_with(begin)) return true;
  }
  return module == "[vdso]";
}

// "bank::(anonymous namespace)::transfer" is shown as "bank::transfer".
std::string without_anonymous_namespaces(std::string function) {
  constexpr std::string_view unnamed = "(anonymous namespace)::";
  for (auto at = function.find(unnamed); at != std::string::npos; at = function.find(unnamed))
    function.erase(at, unnamed.size());
  return function;
}

// The name of an inlined function. Debugging information calls each lambda operator(); the symbol
// that it was inlined into often has its name: "std::thread::...<run::{lambda#1}>::_M_run".
std::string inlined_name(const std::string& function, const std::string& symbol) {
  if (function != "operator()") return without_anonymous_namespaces(function);
  const auto lambda = symbol.find("{lambda#");
  if (lambda == std::string::npos) return "a lambda";
  const auto before = symbol.find_last_of("<, (", lambda);
  const auto begin = before == std::string::npos ? 0 : before + 1;
  return symbol.substr(begin, symbol.find('}', lambda) + 1 - begin);
}

bool is_regular(const std::string& path) noexcept {
  struct stat info {};
  // a fifo of that name would be waited for
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace

struct source_lines::opened {
  Dwfl* session = nullptr;
  Dwfl_Module* module = nullptr;
  GElf_Addr bias = 0;
  outlive::dwarf::symbolizer names;

  explicit opened(const std::string& path) {
    if (!is_regular(path)) return;
    session = dwfl_begin(&callbacks);
    if (session == nullptr) return;
    module = dwfl_report_offline(session, path.c_str(), path.c_str(), -1);
    dwfl_report_end(session, nullptr, nullptr);
    if (module != nullptr && dwfl_module_getelf(module, &bias) == nullptr) module = nullptr;
  }
  ~opened() {
    if (session != nullptr) dwfl_end(session);
  }
  opened(const opened&) = delete;
  opened& operator=(const opened&) = delete;

  [[nodiscard]] bool has_build_id(std::string_view wanted) const {
    if (wanted.empty()) return true;
    const unsigned char* bits = nullptr;
    GElf_Addr at = 0;
    const int size = dwfl_module_build_id(module, &bits, &at);
    return size > 0 && std::string_view(reinterpret_cast<const char*>(bits),
                                        static_cast<std::size_t>(size)) == wanted;
  }
};

source_lines::source_lines() = default;
source_lines::~source_lines() = default;

source_lines::opened& source_lines::open(const std::string& module) {
  auto& entry = files_[module];
  if (!entry) entry = std::make_unique<opened>(module);
  return *entry;
}

source_place source_lines::find(std::string_view module, std::uint64_t offset,
                                std::string_view build_id) {
  if (!module.starts_with('/')) return {};
  opened& file = open(std::string(module));
  if (file.module == nullptr || !file.has_build_id(build_id)) return {};
  const GElf_Addr address = offset + file.bias;
  source_place found;
  found.function = without_anonymous_namespaces(outlive::dwarf::symbol_at(file.module, address));
  const auto code = file.names.find(file.module, address);
  for (const outlive::dwarf::source_frame& each : code.frames) {
    if (each.file.empty()) break;
    const bool is_inlined = &each != &code.frames.back();
    found.file = each.file;
    found.line = static_cast<int>(each.line);
    found.is_plumbing = is_plumbing(each.file);
    if (found.is_plumbing) continue;
    // The function of the line, not the one of the standard library that it was inlined into.
    if (is_inlined && !each.function.empty())
      found.function = inlined_name(each.function, found.function);
    break;
  }
  return found;
}

std::string source_lines::describe_call(std::string_view module, std::uint64_t return_offset,
                                        std::string_view build_id) {
  if (return_offset == 0) return {};
  const auto [at, is_new] =
      calls_.try_emplace({std::string(module), return_offset, std::string(build_id)});
  if (is_new) at->second = look_call_up(module, return_offset, build_id);
  return at->second;
}

std::string source_lines::describe_call(const outlive::stack_frame& call) {
  if (!call.module.empty()) return describe_call(call.module, call.offset, call.build_id);
  return call.address == 0 ? std::string() : fmt::format("unknown+0x{:x}", call.address);
}

std::string source_lines::look_call_up(std::string_view module, std::uint64_t return_offset,
                                       std::string_view build_id) {
  const source_place place = find(module, return_offset - 1, build_id);
  const std::string where =
      place.file.empty() || place.line == 0
          ? fmt::format("{}+0x{:x}", module, return_offset)
          : fmt::format("{}:{}", std::filesystem::path(place.file).filename().string(), place.line);
  return place.function.empty() ? where : fmt::format("{} ({})", where, shortened(place.function));
}

bool source_lines::is_foreign(const outlive::stack_frame& frame, bool is_return_address) {
  if (frame.module.empty()) return false;
  if (is_of_system(frame.module)) return true;
  const std::uint64_t offset = frame.offset - (is_return_address ? 1 : 0);
  return find(frame.module, offset, frame.build_id).is_plumbing;
}

std::string source_lines::describe_frame(const outlive::stack_frame& frame,
                                         bool is_return_address) {
  if (frame.module.empty()) return to_string(frame);
  const source_place place =
      find(frame.module, frame.offset - (is_return_address ? 1 : 0), frame.build_id);
  if (place.file.empty()) return to_string(frame);
  return fmt::format("{} at {}:{}",
                     shortened(place.function.empty() ? frame.function : place.function),
                     place.file, place.line);
}
