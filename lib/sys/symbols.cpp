// The file may be anything, so every offset in it is checked before it is followed.
#include "sys/symbols.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <span>

#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

class mapped_file {
 public:
  explicit mapped_file(const std::string& path) noexcept {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return;
    struct stat info {};
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
      void* const memory =
          ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
      if (memory != MAP_FAILED)
        bytes_ = {static_cast<const std::byte*>(memory), static_cast<std::size_t>(info.st_size)};
    }
    ::close(fd);
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  // The part of the file; empty if the file does not reach so far.
  [[nodiscard]] std::span<const std::byte> part(std::uint64_t offset,
                                                std::uint64_t size) const noexcept {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return {};
    return bytes_.subspan(offset, size);
  }
  template <class T>
  [[nodiscard]] bool read(std::uint64_t offset, T& value) const noexcept {
    const auto bytes = part(offset, sizeof(T));
    if (bytes.size() != sizeof(T)) return false;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
};

struct sections {
  const mapped_file& file;
  ElfW(Ehdr) header{};

  explicit sections(const mapped_file& of) noexcept : file(of) {
    if (!file.read(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_shentsize != sizeof(ElfW(Shdr))) {
      header.e_shnum = 0;
    }
  }
  [[nodiscard]] bool get(unsigned index, ElfW(Shdr) & section) const noexcept {
    return index < header.e_shnum &&
           file.read(header.e_shoff + std::uint64_t{index} * sizeof section, section);
  }
};

bool has_build_id(const sections& all, std::string_view wanted) noexcept {
  if (wanted.empty()) return true;
  for (unsigned i = 0; i < all.header.e_shnum; ++i) {
    ElfW(Shdr) section{};
    if (!all.get(i, section) || section.sh_type != SHT_NOTE) continue;
    const auto notes = all.file.part(section.sh_offset, section.sh_size);
    const std::string_view text(reinterpret_cast<const char*>(notes.data()), notes.size());
    if (text.find(wanted) != std::string_view::npos) return true;
  }
  return false;
}

std::string_view name_at(const sections& all, const ElfW(Shdr) & strings,
                         std::uint64_t offset) noexcept {
  const auto bytes = all.file.part(strings.sh_offset, strings.sh_size);
  if (offset >= bytes.size()) return {};
  const char* const text = reinterpret_cast<const char*>(bytes.data()) + offset;
  return {text, strnlen(text, bytes.size() - offset)};
}

std::string_view function_in(const sections& all, const ElfW(Shdr) & table, std::uint64_t offset,
                             std::uint64_t& within) noexcept {
  ElfW(Shdr) strings{};
  if (!all.get(table.sh_link, strings)) return {};
  for (std::uint64_t at = 0; at + sizeof(ElfW(Sym)) <= table.sh_size; at += sizeof(ElfW(Sym))) {
    ElfW(Sym) symbol{};
    if (!all.file.read(table.sh_offset + at, symbol)) return {};
    if ((symbol.st_info & 0xf) != STT_FUNC || offset < symbol.st_value ||
        offset - symbol.st_value >= symbol.st_size)
      continue;
    within = offset - symbol.st_value;
    return name_at(all, strings, symbol.st_name);
  }
  return {};
}

}  // namespace

std::string demangled(std::string_view name) {
  std::string mangled(name);
  int status = 0;
  char* const text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  if (text == nullptr) return mangled;
  std::string readable(text);
  std::free(text);
  return readable;
}

found_symbol function_at(const std::string& path, std::string_view build_id, std::uint64_t offset) {
  const no_cancellation here;
  const mapped_file file(path);
  const sections all(file);
  if (!has_build_id(all, build_id)) return {};
  for (const unsigned wanted : {unsigned{SHT_SYMTAB}, unsigned{SHT_DYNSYM}}) {
    for (unsigned i = 0; i < all.header.e_shnum; ++i) {
      ElfW(Shdr) section{};
      if (!all.get(i, section) || section.sh_type != wanted) continue;
      std::uint64_t within = 0;
      if (const auto name = function_in(all, section, offset, within); !name.empty())
        return {demangled(name), within};
    }
  }
  return {};
}

}  // namespace outlive::detail
