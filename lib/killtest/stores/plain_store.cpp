// The encodings are those of Intel's manual, volume 2, chapter 2. The address is computed from the
// registers, because of a store across two pages the processor may report the second one.
#include "killtest/stores/plain_store.hpp"

#if defined(__x86_64__)

#include <cstdint>
#include <cstring>

namespace outlive::killtest::detail {

namespace {

constexpr int registers[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                             REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                             REG_R12, REG_R13, REG_R14, REG_R15};

// Read byte by byte: what follows the instruction may not be mapped.
class instruction {
 public:
  explicit instruction(const ucontext_t& context) noexcept
      : context_(context),
        begin_(reinterpret_cast<const unsigned char*>(context.uc_mcontext.gregs[REG_RIP])) {}

  [[nodiscard]] unsigned char peek() const noexcept { return begin_[length_]; }
  unsigned char byte() noexcept { return begin_[length_++]; }
  template <class Integer>
  std::int64_t constant() noexcept {
    Integer found;
    std::memcpy(&found, begin_ + length_, sizeof found);
    length_ += sizeof found;
    return found;
  }
  [[nodiscard]] std::size_t length() const noexcept { return length_; }
  [[nodiscard]] std::int64_t value_of(unsigned number) const noexcept {
    return context_.uc_mcontext.gregs[registers[number]];
  }

  void read_prefixes() noexcept {
    for (;; ++length_) {
      const unsigned char next = peek();
      if (next == 0x66) {
        has_66_ = true;
      } else if (next == 0xf2 || next == 0xf3) {
        repeats_ = next;
      } else {
        break;
      }
    }
    if ((peek() & 0xf0U) == 0x40) rex_ = byte();
  }
  [[nodiscard]] bool has_66() const noexcept { return has_66_; }
  [[nodiscard]] unsigned repeats() const noexcept { return repeats_; }
  [[nodiscard]] bool has_rex() const noexcept { return rex_ != 0; }
  [[nodiscard]] bool is_wide() const noexcept { return (rex_ & 8U) != 0; }
  [[nodiscard]] unsigned source() const noexcept { return source_; }
  [[nodiscard]] unsigned extension() const noexcept { return source_ & 7U; }

  // Returns: false if the operand is a register.
  bool read_operand() noexcept {
    const unsigned modrm = byte();
    const unsigned mode = modrm >> 6U;
    source_ = (modrm >> 3U & 7U) | (rex_ & 4U) << 1U;
    if (mode == 3) return false;
    unsigned base = modrm & 7U;
    if (base == 4) {
      const unsigned sib = byte();
      base = sib & 7U;
      const unsigned index = (sib >> 3U & 7U) | (rex_ & 2U) << 2U;
      if (index != 4) address_ += static_cast<std::uint64_t>(value_of(index)) << (sib >> 6U);
      if (base == 5 && mode == 0) {
        address_ += static_cast<std::uint64_t>(constant<std::int32_t>());
        return true;
      }
    } else if (base == 5 && mode == 0) {
      from_end_ = true;
      address_ = static_cast<std::uint64_t>(constant<std::int32_t>());
      return true;
    }
    address_ += static_cast<std::uint64_t>(value_of(base | (rex_ & 1U) << 3U));
    if (mode == 1) address_ += static_cast<std::uint64_t>(constant<std::int8_t>());
    if (mode == 2) address_ += static_cast<std::uint64_t>(constant<std::int32_t>());
    return true;
  }

  // Requires: the whole instruction was read.
  [[nodiscard]] char* address() const noexcept {
    const std::uint64_t end = reinterpret_cast<std::uintptr_t>(begin_ + length_);
    return reinterpret_cast<char*>(address_ + (from_end_ ? end : 0));
  }

  // The register's bytes; nullptr if the frame does not have them. A component that is in its
  // initial state need not be saved.
  [[nodiscard]] const char* vector(unsigned number) const noexcept {
    constexpr std::size_t header_offset = 512;
    constexpr std::uint64_t of_vectors = 2;
    const auto* const area = reinterpret_cast<const char*>(context_.uc_mcontext.fpregs);
    if (area == nullptr) return nullptr;
    std::uint32_t extended = 0;  // the kernel's magic, asm/sigcontext.h
    std::memcpy(&extended, area + 464, sizeof extended);
    std::uint64_t components = of_vectors;
    if (extended == 0x46505853) std::memcpy(&components, area + header_offset, sizeof components);
    if ((components & of_vectors) == 0) return nullptr;
    return reinterpret_cast<const char*>(context_.uc_mcontext.fpregs->_xmm + number);
  }

 private:
  const ucontext_t& context_;
  const unsigned char* begin_;
  std::size_t length_ = 0;
  bool has_66_ = false;
  unsigned repeats_ = 0;  // F2 or F3: part of the opcode, where it is no string instruction
  unsigned rex_ = 0;
  unsigned source_ = 0;
  std::uint64_t address_ = 0;
  bool from_end_ = false;  // the address counts from the end of the instruction
};

// mov of a register or a constant
bool read_integer(instruction& from, unsigned opcode, plain_store& made) noexcept {
  if (from.repeats() != 0 || !from.read_operand()) return false;
  made.size = (opcode & 1U) == 0 ? 1 : from.is_wide() ? 8 : from.has_66() ? 2 : 4;
  std::int64_t value = 0;
  if (opcode >= 0xc6) {
    if (from.extension() != 0) return false;
    value = made.size == 1   ? from.constant<std::int8_t>()
            : made.size == 2 ? from.constant<std::int16_t>()
                             : from.constant<std::int32_t>();
  } else if (made.size == 1 && !from.has_rex() && from.source() >= 4) {
    value = from.value_of(from.source() - 4) >> 8;  // ah, ch, dh, bh
  } else {
    value = from.value_of(from.source());
  }
  std::memcpy(made.bytes, &value, sizeof value);
  return true;
}

// Bytes that a vector register stores, by the instruction's second opcode; 0: of another form.
std::size_t vector_bytes(const instruction& from, unsigned opcode) noexcept {
  const unsigned prefix = from.repeats() != 0 ? from.repeats() : from.has_66() ? 0x66U : 0U;
  switch (opcode) {
    case 0x11: return prefix == 0xf3 ? 4 : prefix == 0xf2 ? 8 : 16;  // movups, movss, movsd
    case 0x13: return prefix == 0 || prefix == 0x66 ? 8 : 0;         // movlps
    case 0x29: return prefix == 0 || prefix == 0x66 ? 16 : 0;        // movaps
    case 0x7e: return prefix != 0x66 ? 0 : from.is_wide() ? 8 : 4;   // movd, movq
    case 0x7f: return prefix == 0x66 || prefix == 0xf3 ? 16 : 0;     // movdqa, movdqu
    case 0xd6: return prefix == 0x66 ? 8 : 0;                        // movq
    default: return 0;
  }
}

bool read_vector(instruction& from, plain_store& made) noexcept {
  const unsigned opcode = from.byte();
  made.size = vector_bytes(from, opcode);
  if (made.size == 0 || !from.read_operand()) return false;
  const char* const value = from.vector(from.source());
  if (value == nullptr) return false;
  std::memcpy(made.bytes, value, made.size);
  return true;
}

}  // namespace

std::optional<plain_store> plain_store_at(const ucontext_t& context) noexcept {
  instruction from(context);
  from.read_prefixes();
  plain_store made;
  const unsigned opcode = from.byte();
  const bool is_integer = opcode == 0x88 || opcode == 0x89 || opcode == 0xc6 || opcode == 0xc7;
  const bool was_read = is_integer       ? read_integer(from, opcode, made)
                        : opcode == 0x0f ? read_vector(from, made)
                                         : false;
  if (!was_read) return std::nullopt;
  made.to = from.address();
  made.length = from.length();
  return made;
}

void skip(const plain_store& done, ucontext_t& context) noexcept {
  context.uc_mcontext.gregs[REG_RIP] += static_cast<greg_t>(done.length);
}

}  // namespace outlive::killtest::detail

#endif
