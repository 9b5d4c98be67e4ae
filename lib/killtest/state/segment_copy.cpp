#include "killtest/state/segment_copy.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "killtest/process/child_process.hpp"
#include "killtest/stores/page_shadow.hpp"

namespace outlive::killtest::detail {

namespace {

bool is_zeros(const char* at, std::size_t bytes) noexcept {
  return *at == 0 && std::memcmp(at, at + 1, bytes - 1) == 0;
}

}  // namespace

segment_copy::segment_copy(const segment& seg)
    : fd_(above_standard(::memfd_create("outlive-killtest", MFD_CLOEXEC))),
      size_(seg.size_bytes()) {
  const auto fail = [this](const char* what) {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    throw std::system_error(error, std::generic_category(), what);
  };
  if (fd_ < 0) fail("memfd_create");
  const auto* const base = static_cast<const char*>(seg.base());
  if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) fail("a copy of the segment");
  for (std::size_t at = 0; at < size_; at += page_bytes) {
    const std::size_t bytes = std::min(page_bytes, size_ - at);
    if (is_zeros(base + at, bytes)) continue;
    if (::pwrite(fd_, base + at, bytes, static_cast<off_t>(at)) != static_cast<ssize_t>(bytes))
      fail("a copy of the segment");
  }
  void* const memory = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED) fail("a copy of the segment");
  bytes_ = static_cast<char*>(memory);
}

segment_copy::~segment_copy() {
  ::munmap(bytes_, size_);
  ::close(fd_);
}

}  // namespace outlive::killtest::detail
