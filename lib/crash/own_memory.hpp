// Reads of this process's memory at addresses that may be wild: by a system call, which fails where a load would crash.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlive::crash {

class own_memory {
 public:
  // False: nothing can be read there. Async-signal-safe.
  bool read(std::uint64_t address, std::uint64_t& word) noexcept;

 private:
  bool fetch(std::uint64_t begin) noexcept;

  // One piece that is aligned, and so lies in one page: unwind tables are read byte by byte.
  static constexpr std::size_t piece_bytes = 512;
  alignas(16) unsigned char piece_[piece_bytes];
  std::uint64_t begin_ = 1;  // no piece begins there
};

}  // namespace outlive::crash
