#include "source_lines.hpp"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

namespace {

// No debuginfod: a look at a stuck program must not wait for a server.
int find_debuginfo(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base,
                   const char* file, const char* link, GElf_Word crc, char** debuginfo) {
  ::unsetenv("DEBUGINFOD_URLS");
  return dwfl_standard_find_debuginfo(module, data, name, base, file, link, crc, debuginfo);
}

const Dwfl_Callbacks callbacks{dwfl_build_id_find_elf, find_debuginfo, dwfl_offline_section_address,
                               nullptr};

std::string demangled(const char* name) {
  int status = 0;
  char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string made = status == 0 && text != nullptr ? text : name;
  std::free(text);
  return made;
}

// Without its parameters, and what says that nobody else can see it: "bank::(anonymous
// namespace)::transfer(accounts&, long)" is told as "bank::transfer".
std::string shortened(std::string function) {
  constexpr std::string_view unnamed = "(anonymous namespace)::";
  for (auto at = function.find(unnamed); at != std::string::npos; at = function.find(unnamed))
    function.erase(at, unnamed.size());
  if (function.find("operator") != std::string::npos ||
      function.find("lambda") != std::string::npos)
    return function;
  int depth = 0;
  for (std::size_t at = function.size(); at-- > 0;) {
    if (function[at] == ')') ++depth;
    if (function[at] == '(' && --depth == 0) return function.substr(0, at);
  }
  return function;
}

// The code that stands between a program and its mutex: what is inlined of it is told by the line
// that called it.
bool is_plumbing(std::string_view file) noexcept {
  return file.find("/outlive/guarded.hpp") != file.npos ||
         file.find("/outlive/robust_mutex.hpp") != file.npos || file.find("/c++/") != file.npos;
}

// Goes out of inlined functions as long as the place is plumbing.
void leave_plumbing(source_place& place, Dwarf_Die* unit, Dwarf_Addr address) {
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes(unit, address, &scopes);
  Dwarf_Files* files = nullptr;
  std::size_t file_count = 0;
  if (dwarf_getsrcfiles(unit, &files, &file_count) != 0) file_count = 0;
  for (int i = 0; i < count && is_plumbing(place.file); ++i) {
    if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine) continue;
    Dwarf_Attribute attribute;
    Dwarf_Word file = 0, line = 0;
    if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_file, &attribute), &file) != 0 ||
        file >= file_count)
      break;
    if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &attribute), &line) != 0) break;
    const char* const path = dwarf_filesrc(files, file, nullptr, nullptr);
    if (path == nullptr) break;
    place.file = path;
    place.line = static_cast<int>(line);
  }
  std::free(scopes);
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
  const opened& file = open(std::string(module));
  if (file.module == nullptr || !file.has_build_id(build_id)) return {};
  source_place found;
  const GElf_Addr address = offset + file.bias;
  if (const char* const name = dwfl_module_addrname(file.module, address))
    found.function = demangled(name);
  // libdw tells the line before, too, of an address that no unit has, such as that of _start.
  GElf_Addr unit_bias = 0;
  Dwarf_Die* const unit = dwfl_module_addrdie(file.module, address, &unit_bias);
  if (unit == nullptr || dwarf_haspc(unit, address - unit_bias) <= 0) return found;
  if (Dwfl_Line* const line = dwfl_module_getsrc(file.module, address)) {
    if (const char* const path =
            dwfl_lineinfo(line, nullptr, &found.line, nullptr, nullptr, nullptr))
      found.file = path;
  }
  leave_plumbing(found, unit, address - unit_bias);
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

std::string source_lines::look_call_up(std::string_view module, std::uint64_t return_offset,
                                       std::string_view build_id) {
  const source_place place = find(module, return_offset - 1, build_id);
  const std::string where =
      place.file.empty() || place.line == 0
          ? fmt::format("{}+0x{:x}", module, return_offset)
          : fmt::format("{}:{}", std::filesystem::path(place.file).filename().string(), place.line);
  return place.function.empty() ? where : fmt::format("{} ({})", shortened(place.function), where);
}

std::string source_lines::describe_frame(const outlive::stack_frame& frame,
                                         bool is_return_address) {
  if (frame.module.empty()) return to_string(frame);
  const source_place place =
      find(frame.module, frame.offset - (is_return_address ? 1 : 0), frame.build_id);
  if (place.file.empty()) return to_string(frame);
  return fmt::format("{} at {}:{}",
                     place.function.empty() ? frame.function : shortened(place.function),
                     place.file, place.line);
}
