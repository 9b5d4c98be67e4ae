// page_shadow: what another process has changed in a file since the last look.
//
// Only pages that the file has are compared. Of a segment_copy, which leaves out pages of zeros,
// that makes a look at a large segment as cheap as a look at what is used of it: a look comes after
// each instruction. A page that comes to the file is noticed by the file's count of blocks.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace outlive::killtest::detail {

// The size of a page wherever stores are seen by their pages: x86-64 has no other for them.
inline constexpr std::size_t page_bytes = 4096;

struct byte_range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(end - begin); }
};

// The parts of a file that are no holes. All that is a hole reads as zeros. Throws
// std::system_error.
[[nodiscard]] std::vector<byte_range> data_of(int fd, std::uint64_t size);

class page_shadow {
 public:
  // `bytes`: a mapping of the file. Throws std::system_error.
  page_shadow(int fd, const char* bytes, std::size_t size);
  ~page_shadow();
  page_shadow(const page_shadow&) = delete;
  page_shadow& operator=(const page_shadow&) = delete;

  // From the first changed byte to the last one; empty if there is none. Throws std::system_error.
  [[nodiscard]] byte_range look();
  // What stood there at the last look, until update() is called.
  [[nodiscard]] const std::byte* before(const byte_range& range) const noexcept;
  void update(const byte_range& range) noexcept;

 private:
  [[nodiscard]] blkcnt_t blocks() const;

  int fd_;
  const char* bytes_;
  std::size_t size_;
  char* shadow_;
  std::vector<byte_range> data_;
  blkcnt_t blocks_;
};

}  // namespace outlive::killtest::detail
