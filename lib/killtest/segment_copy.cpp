#include "killtest/segment_copy.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace outlive::killtest::detail {

segment_copy::segment_copy(const segment& seg) : fd_(::memfd_create("outlive-killtest", MFD_CLOEXEC)), size_(seg.size_bytes()) {
  const auto fail = [this](const char* what) {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    throw std::system_error(error, std::generic_category(), what);
  };
  if (fd_ < 0) fail("memfd_create");
  const auto* const base = static_cast<const char*>(seg.base());
  for (std::size_t at = 0; at < size_;) {
    const ssize_t written = ::write(fd_, base + at, size_ - at);
    if (written <= 0) fail("a copy of the segment");
    at += static_cast<std::size_t>(written);
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
