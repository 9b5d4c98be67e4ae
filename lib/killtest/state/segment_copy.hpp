// segment_copy: a file with a segment's bytes, which processes can map in place of the segment
// (map_view_of). Pages of zeros are holes: the copy of a large segment uses only the memory that
// the segment uses.
#pragma once

#include <cstddef>

#include <outlive/segment.hpp>

namespace outlive::killtest::detail {

// Freed with its last descriptor and mapping.
class segment_copy {
 public:
  // Throws std::system_error.
  explicit segment_copy(const segment& seg);
  ~segment_copy();
  segment_copy(const segment_copy&) = delete;
  segment_copy& operator=(const segment_copy&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const char* bytes() const noexcept { return bytes_; }

 private:
  int fd_;
  std::size_t size_;
  char* bytes_ = nullptr;
};

}  // namespace outlive::killtest::detail
