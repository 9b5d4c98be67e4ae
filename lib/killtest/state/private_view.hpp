// private_view: a segment's bytes for one process alone. The process sees the file's bytes; its
// changes are its own.
#pragma once

#include <cstdint>
#include <vector>

#include <outlive/segment.hpp>

namespace outlive::killtest::detail {

[[nodiscard]] inline char* base_of(const segment& seg) noexcept {
  return static_cast<char*>(const_cast<void*>(seg.base()));
}

// From now on this process sees the bytes of the file in the segment, and its changes are its own.
// Throws std::system_error.
void map_private_view(segment& seg, int fd);
// From now on the segment is another file, which this process shares with others. Throws
// std::system_error.
void map_view_of(segment& seg, int fd);

// A private view that is reused.
class private_view {
 public:
  // Throws std::system_error.
  explicit private_view(segment& seg);
  ~private_view();
  private_view(const private_view&) = delete;
  private_view& operator=(const private_view&) = delete;

  // Discards the changes of the process.
  void reset() noexcept;

 private:
  [[nodiscard]] bool copy_back() noexcept;

  char* base_;
  std::size_t size_;
  const char* file_ = nullptr;
  int pagemap_ = -1;
  std::vector<std::uint64_t> pages_;
};

}  // namespace outlive::killtest::detail
