#include "killtest/stores/page_shadow.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace outlive::killtest::detail {

std::vector<byte_range> data_of(int fd, std::uint64_t size) {
  std::vector<byte_range> found;
  for (off_t at = 0; at < static_cast<off_t>(size);) {
    const off_t begin = ::lseek(fd, at, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;  // none after this
    const off_t end = begin < 0 ? -1 : ::lseek(fd, begin, SEEK_HOLE);
    if (end < 0)
      throw std::system_error(errno, std::generic_category(),
                              "lseek: the parts of the copy of the segment");
    found.push_back(
        {static_cast<std::uint64_t>(begin), std::min(static_cast<std::uint64_t>(end), size)});
    at = end;
  }
  return found;
}

page_shadow::page_shadow(int fd, const char* bytes, std::size_t size)
    : fd_(fd), bytes_(bytes), size_(size), blocks_(blocks()) {
  data_ = data_of(fd, size);
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "memory to compare the segment with");
  shadow_ = static_cast<char*>(memory);
  for (const byte_range& each : data_) update(each);
}

page_shadow::~page_shadow() {
  ::munmap(shadow_, size_);
}

blkcnt_t page_shadow::blocks() const {
  struct stat now {};
  if (::fstat(fd_, &now) != 0)
    throw std::system_error(errno, std::generic_category(), "fstat: the copy of the segment");
  return now.st_blocks;
}

byte_range page_shadow::look() {
  if (const blkcnt_t now = blocks(); now != blocks_) {
    data_ = data_of(fd_, size_);  // where a hole was, the shadow has zeros, as the hole had
    blocks_ = now;
  }
  byte_range changed;
  for (const byte_range& each : data_) {
    if (std::memcmp(shadow_ + each.begin, bytes_ + each.begin, each.size()) == 0) continue;
    std::uint64_t first = each.begin;
    std::uint64_t last = each.end - 1;
    while (shadow_[first] == bytes_[first]) ++first;
    while (shadow_[last] == bytes_[last]) --last;
    if (changed.end == 0) changed.begin = first;
    changed.end = last + 1;
  }
  return changed;
}

const std::byte* page_shadow::before(const byte_range& range) const noexcept {
  return reinterpret_cast<const std::byte*>(shadow_ + range.begin);
}

void page_shadow::update(const byte_range& range) noexcept {
  std::memcpy(shadow_ + range.begin, bytes_ + range.begin, range.size());
}

}  // namespace outlive::killtest::detail
