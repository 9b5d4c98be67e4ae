#include "killtest/schedule/access.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr std::uint8_t vector_bytes = 64;
constexpr std::uint8_t sse_bytes = 16;

constexpr bool is_prefix(unsigned char byte) noexcept {
  switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3: return true;
    default: return false;
  }
}

// Of the opcodes behind 0x0f.
constexpr std::uint8_t width_of_second_map(unsigned char opcode, std::uint8_t operand) noexcept {
  switch (opcode) {
    case 0xb6:  // movzx, movsx
    case 0xbe:
    case 0xb0:  // cmpxchg, xadd of a byte
    case 0xc0: return 1;
    case 0xb7:
    case 0xbf: return 2;
    case 0xc7: return sse_bytes;  // cmpxchg16b
    default: break;
  }
  const bool is_general = (opcode >= 0x40 && opcode < 0x50) || (opcode >= 0xa0 && opcode < 0xc2);
  return is_general ? operand : sse_bytes;
}

constexpr std::uint8_t width_of_first_map(unsigned char opcode, std::uint8_t operand) noexcept {
  if (opcode >= 0xd8 && opcode <= 0xdf) return sse_bytes;            // x87
  if (opcode == 0xff || opcode == 0x8f || opcode == 0x63) return 8;  // push, pop, call
  if (opcode == 0xa4 || opcode == 0xaa || opcode == 0xa6 || opcode == 0xae || opcode == 0xac)
    return 1;  // movsb ...
  // In the arithmetic rows, and in most others, an even opcode works on bytes.
  const bool works_on_bytes = (opcode < 0x40 && opcode % 2 == 0) || opcode == 0x80 ||
                              opcode == 0x84 || opcode == 0x86 || opcode == 0x88 ||
                              opcode == 0x8a || opcode == 0xc6 || opcode == 0xf6 || opcode == 0xfe;
  return works_on_bytes ? 1 : operand;
}

}  // namespace

memory_access decode_access(const unsigned char* code) noexcept {
  memory_access made;
  std::uint8_t operand = 4;
  for (; is_prefix(*code); ++code) made.is_atomic = made.is_atomic || *code == 0xf0;
  if ((*code & 0xf0) == 0x40) {
    if ((*code & 0x08) != 0) operand = 8;
    ++code;
  }
  if (*code == 0xc4 || *code == 0xc5 || *code == 0x62) {
    made.widest = vector_bytes;
  } else if (*code == 0x0f) {
    made.widest = width_of_second_map(code[1], operand);
  } else {
    made.is_atomic = made.is_atomic || *code == 0x86 || *code == 0x87;
    made.widest = width_of_first_map(*code, operand);
  }
  return made;
}

}  // namespace outlive::killtest::detail
