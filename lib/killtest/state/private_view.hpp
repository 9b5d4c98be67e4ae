// private_view: a segment's bytes for one process alone. It sees what stands in the file, and what
// it changes is its own.
#pragma once

#include <cstdint>
#include <vector>

#include <outlive/segment.hpp>

namespace outlive::killtest::detail {

[[nodiscard]] inline char* base_of(const segment& seg) noexcept {
  return static_cast<char*>(const_cast<void*>(seg.base()));
}

// From here on, the segment's bytes are in this process those of the file, and what it does to them
// is its own. Throws std::system_error.
void map_private_view(segment& seg, int fd);
// The segment's bytes are those of another file from here on, for all who have that.
void map_view_of(segment& seg, int fd);

// A private view that is used again and again.
class private_view {
 public:
  // Takes it. Throws std::system_error.
  explicit private_view(segment& seg);
  ~private_view();
  private_view(const private_view&) = delete;
  private_view& operator=(const private_view&) = delete;

  // Forgets what the process did to it.
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
