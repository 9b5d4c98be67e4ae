// access: what an instruction does to the memory that it faulted on.
#pragma once

#include <cstdint>

namespace outlive::killtest::detail {

struct memory_access {
  bool is_atomic = false;   // a locked read-modify-write, or xchg
  std::uint8_t widest = 8;  // bytes; the instruction accesses so many, or fewer
};

// x86-64. Reads up to 15 bytes of code. Async-signal-safe.
[[nodiscard]] memory_access decode_access(const unsigned char* code) noexcept;

}  // namespace outlive::killtest::detail
