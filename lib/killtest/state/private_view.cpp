#include "killtest/state/private_view.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "killtest/process/child_process.hpp"
#include "killtest/stores/page_shadow.hpp"

namespace outlive::killtest::detail {

namespace {

// Above this size, reading the state of each page takes longer than faulting a few in again.
constexpr std::size_t max_asked = std::size_t{4} << 20;

// Documentation/admin-guide/mm/pagemap.rst
constexpr std::uint64_t is_present = std::uint64_t{1} << 63;
constexpr std::uint64_t is_swapped = std::uint64_t{1} << 62;
constexpr std::uint64_t is_of_file = std::uint64_t{1} << 61;

void map_over(segment& seg, int fd, int flags) {
  if (::mmap(base_of(seg), seg.size_bytes(), PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) ==
      MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), "another view of the segment");
  }
}

}  // namespace

void map_private_view(segment& seg, int fd) {
  map_over(seg, fd, MAP_PRIVATE);
}

void map_view_of(segment& seg, int fd) {
  map_over(seg, fd, MAP_SHARED);
}

private_view::private_view(segment& seg) : base_(base_of(seg)), size_(seg.size_bytes()) {
  map_private_view(seg, seg.fd());
  if (size_ > max_asked) return;
  void* const file = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, seg.fd(), 0);
  if (file == MAP_FAILED) return;
  file_ = static_cast<const char*>(file);
  pagemap_ = above_standard(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  pages_.resize(size_ / page_bytes);
}

private_view::~private_view() {
  if (pagemap_ >= 0) ::close(pagemap_);
  if (file_ != nullptr) ::munmap(const_cast<char*>(file_), size_);
}

void private_view::reset() noexcept {
  if (!copy_back()) ::madvise(base_, size_, MADV_DONTNEED);
}

// Pages that the process has written are its own from then on. Their bytes are copied back, which
// takes a tenth of the time of two page faults. Pages that it has only read show the file.
bool private_view::copy_back() noexcept {
  if (pagemap_ < 0) return false;
  const std::size_t bytes = pages_.size() * sizeof pages_[0];
  const auto first =
      static_cast<off_t>(reinterpret_cast<std::uintptr_t>(base_) / page_bytes * sizeof pages_[0]);
  if (::pread(pagemap_, pages_.data(), bytes, first) != static_cast<ssize_t>(bytes)) return false;
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    const bool is_there = (pages_[i] & (is_present | is_swapped)) != 0;
    if (is_there && (pages_[i] & is_of_file) == 0)
      std::memcpy(base_ + i * page_bytes, file_ + i * page_bytes, page_bytes);
  }
  return true;
}

}  // namespace outlive::killtest::detail
