// Reads a process's memory at addresses that may be wild. It uses a system call, which fails where
// a load would crash.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace outlive::crash {

class checked_memory {
 public:
  // Of the calling process. Async-signal-safe.
  checked_memory() noexcept;
  // Of another process, by the id of one of its threads.
  explicit checked_memory(pid_t of) noexcept : of_(of), own_(false) {}

  // Returns: false if the address cannot be read. Any address is allowed: on aarch64 libunwind
  //   reads words at multiples of 4.
  bool word(std::uint64_t address, std::uint64_t& into) noexcept;
  bool bytes(std::uint64_t address, void* into, std::size_t size) noexcept;

 private:
  bool fetch(std::uint64_t begin) noexcept;

  // One aligned piece, which lies in one page: unwind tables are read byte by byte.
  static constexpr std::size_t piece_bytes = 512;
  alignas(16) unsigned char piece_[piece_bytes];
  std::uint64_t begin_ = 1;  // no piece begins there
  pid_t of_;
  bool own_;
};

}  // namespace outlive::crash
