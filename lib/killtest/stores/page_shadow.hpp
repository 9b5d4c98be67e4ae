// page_shadow: what another process has changed in a file since the last look.
//
// Only pages that the file has are compared. A segment_copy leaves out pages of zeros, so a look at
// a large segment costs as much as a look at its used part; and there is a look after each
// instruction. A new page shows in the file's count of blocks.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace outlive::killtest::detail {

// Stores are seen by their pages on x86-64 alone, where a page has this size.
inline constexpr std::size_t page_bytes = 4096;

struct byte_range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(end - begin); }
};

// The parts of a file that are no holes. Holes read as zeros. Throws std::system_error.
[[nodiscard]] std::vector<byte_range> data_of(int fd, std::uint64_t size);

class page_shadow {
 public:
  // `bytes`: a mapping of the file. Throws std::system_error.
  page_shadow(int fd, const char* bytes, std::size_t size);
  ~page_shadow();
  page_shadow(const page_shadow&) = delete;
  page_shadow& operator=(const page_shadow&) = delete;

  // The range from the first changed byte to the last; empty if nothing changed. Throws
  // std::system_error.
  [[nodiscard]] byte_range look();
  // The bytes of the last look, until update() is called.
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
