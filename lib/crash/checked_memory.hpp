// Reads of a process's memory at addresses that may be wild: by a system call, which fails where a
// load would crash.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace outlive::crash {

class checked_memory {
 public:
  // Of the calling process: async-signal-safe.
  checked_memory() noexcept;
  // Of another process, by the id of one of its threads.
  explicit checked_memory(pid_t of) noexcept : of_(of), own_(false) {}

  // False: nothing can be read there. The address may be any: on aarch64 libunwind reads words at
  // multiples of 4.
  bool word(std::uint64_t address, std::uint64_t& into) noexcept;
  bool bytes(std::uint64_t address, void* into, std::size_t size) noexcept;

 private:
  bool fetch(std::uint64_t begin) noexcept;

  // One piece that is aligned, and so lies in one page: unwind tables are read byte by byte.
  static constexpr std::size_t piece_bytes = 512;
  alignas(16) unsigned char piece_[piece_bytes];
  std::uint64_t begin_ = 1;  // no piece begins there
  pid_t of_;
  bool own_;
};

}  // namespace outlive::crash
