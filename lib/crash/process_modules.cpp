#include "crash/process_modules.hpp"

#include <elf.h>
#include <link.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>

namespace outlive::crash {

namespace {

struct line {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  bool executable = false;
  std::string_view path;
};

// "55d0c0000000-55d0c0001000 r-xp 00001000 08:01 1234    /usr/bin/worker"; only the path holds
// a slash.
bool parse(std::string_view text, line& into) {
  const char* const last = text.data() + text.size();
  const char* at = std::from_chars(text.data(), last, into.begin, 16).ptr;
  if (at == last || *at != '-') return false;
  at = std::from_chars(at + 1, last, into.end, 16).ptr;
  if (last - at < 6) return false;
  into.executable = at[3] == 'x';
  at = std::from_chars(at + 6, last, into.offset, 16).ptr;
  const std::string_view rest(at, static_cast<std::size_t>(last - at));
  const auto path = rest.find('/');
  into.path = path == std::string_view::npos ? std::string_view() : rest.substr(path);
  return true;
}

// The program headers, from the memory where the start of the file is mapped: the file itself may
// have been replaced.
void read_headers(process_module& module, std::uint64_t start, checked_memory& memory) {
  module.base = start;
  ElfW(Ehdr) header{};
  if (!memory.bytes(start, &header, sizeof header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return;
  bool has_base = false;
  std::uint64_t frame_header = 0;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) part{};
    if (!memory.bytes(start + header.e_phoff + i * sizeof part, &part, sizeof part)) return;
    if (part.p_type == PT_LOAD && !has_base) {
      module.base = start - (part.p_vaddr - part.p_offset);
      has_base = true;
    }
    if (part.p_type == PT_GNU_EH_FRAME) frame_header = part.p_vaddr;
  }
  if (frame_header != 0) module.at.frame_header = module.base + frame_header;
}

}  // namespace

std::vector<process_module> modules_of(pid_t tid, checked_memory& memory) {
  constexpr std::string_view gone = " (deleted)";
  std::vector<process_module> all;
  std::ifstream file("/proc/" + std::to_string(tid) + "/maps");
  std::string started;  // the path whose first bytes were mapped last
  std::uint64_t start = 0;
  for (std::string text; std::getline(file, text);) {
    line each;
    if (!parse(text, each) || each.path.empty()) continue;
    if (each.offset == 0 && each.path != started) {
      started = each.path;
      start = each.begin;
    }
    if (!each.executable || each.path != started) continue;
    process_module& module = all.emplace_back();
    module.at = {each.begin, each.end, 0};
    module.deleted = each.path.ends_with(gone);
    module.path = module.deleted ? each.path.substr(0, each.path.size() - gone.size()) : each.path;
    read_headers(module, start, memory);
  }
  return all;
}

}  // namespace outlive::crash
