#include "crash/process_maps.hpp"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>

namespace outlive::crash {

namespace {

// Address of the file's byte 0 in the file's own addresses: that of its first loaded segment, less where that stands in the file.
std::uint64_t own_address_of_start(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  ElfW(Ehdr) header{};
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) part{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof part));
    if (!file.read(reinterpret_cast<char*>(&part), sizeof part)) return 0;
    if (part.p_type == PT_LOAD) return part.p_vaddr - part.p_offset;
  }
  return 0;
}

struct line {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  bool executable = false;
  std::string path;
};

// "55d0c0000000-55d0c0001000 r-xp 00001000 08:01 1234    /usr/bin/worker"
bool parse(std::string_view text, line& into) {
  const char* const last = text.data() + text.size();
  auto at = std::from_chars(text.data(), last, into.begin, 16).ptr;
  if (at == last || *at != '-') return false;
  at = std::from_chars(at + 1, last, into.end, 16).ptr;
  if (last - at < 6) return false;
  into.executable = at[3] == 'x';
  at = std::from_chars(at + 6, last, into.offset, 16).ptr;
  const std::string_view rest(at, static_cast<std::size_t>(last - at));
  const auto path = rest.find('/');
  into.path = path == std::string_view::npos ? std::string_view() : rest.substr(path);
  constexpr std::string_view gone = " (deleted)";
  if (into.path.ends_with(gone)) into.path.resize(into.path.size() - gone.size());
  return true;
}

}  // namespace

std::vector<mapped_file> executable_mappings(pid_t tid) {
  std::vector<mapped_file> all;
  std::ifstream maps("/proc/" + std::to_string(tid) + "/maps");
  for (std::string text; std::getline(maps, text);) {
    line each;
    if (!parse(text, each) || !each.executable || each.path.empty()) continue;
    all.push_back({each.begin, each.end, each.begin - each.offset - own_address_of_start(each.path), each.path});
  }
  return all;
}

}  // namespace outlive::crash
