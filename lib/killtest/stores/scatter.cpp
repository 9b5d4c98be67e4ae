#include "killtest/stores/scatter.hpp"

#include <cstddef>

namespace outlive::killtest::detail {

namespace {

// Of a segment, and of the size of addresses. No other one may stand before EVEX.
constexpr bool is_prefix(unsigned char byte) noexcept {
  return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x64 ||
         byte == 0x65 || byte == 0x67;
}

}  // namespace

// Intel's manual, volume 2: 62 (EVEX), three bytes of payload with the map of opcodes in the lowest
// bits of the first, and the opcode: 0xa0 to 0xa3 of map 0F38.
bool is_scatter(const unsigned char* code) noexcept {
  constexpr std::size_t max_prefixes = 14;
  constexpr unsigned char evex = 0x62;
  constexpr unsigned char map_0f38 = 2;
  constexpr unsigned char of_map = 7;
  std::size_t at = 0;
  while (at < max_prefixes && is_prefix(code[at])) ++at;
  if (code[at] != evex || (code[at + 1] & of_map) != map_0f38) return false;
  const unsigned char opcode = code[at + 4];
  return opcode >= 0xa0 && opcode <= 0xa3;
}

}  // namespace outlive::killtest::detail
