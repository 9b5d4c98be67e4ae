// lock_state: the 64-bit word of a robust mutex. Each transition is one store.
//
//   63        reserved: 0; later "waiters" of a lock without a native mutex. Every reader masks it.
//   62..48    holder's generation (low 15 bits of its record's)
//   47..32    holder's record index + 1; 0: nobody is inside
//   31..16    origin's record index + 1: whose death is being repaired; 0: unknown
//   15..8     origin's generation (low 8 bits)
//    7..2     attempts: repairs of this death that were started
//    1..0     condition
//
// {0, consistent} is 1, and a word of 0 is not valid: zeroed memory is not a free lock (hazard
// A11). `holder` names the thread that is inside, or that repairs. It may be missing only in the
// instructions around the native lock and unlock. It must not name a thread that does not have the
// native mutex, unless that thread died with it.
#pragma once

#include <cstdint>

namespace outlive::detail {

enum class lock_condition : std::uint32_t {
  not_recoverable = 0,
  consistent = 1,
  unrepaired = 2,
  repairing = 3
};

inline constexpr unsigned max_attempts = 63;
inline constexpr std::uint64_t free_consistent = 1;

// A record at one of its lives.
struct record_id {
  std::uint32_t index_plus_1 = 0;  // 0: nobody, or unknown
  std::uint32_t generation = 0;    // as many low bits as the word keeps

  constexpr explicit operator bool() const noexcept { return index_plus_1 != 0; }
  constexpr bool operator==(const record_id&) const noexcept = default;
};

inline constexpr std::uint32_t holder_generation_mask = 0x7fff;
inline constexpr std::uint32_t origin_generation_mask = 0xff;

constexpr record_id holder_id(std::uint32_t index, std::uint64_t generation) noexcept {
  return {index + 1, static_cast<std::uint32_t>(generation & holder_generation_mask)};
}
// Bits 63..32 for the record at `index`.
constexpr std::uint64_t holder_bits(std::uint32_t index, std::uint64_t generation) noexcept {
  return (generation & holder_generation_mask) << 48 | std::uint64_t{index + 1} << 32;
}
inline constexpr std::uint64_t holder_mask = 0x7fffffff'00000000;

class lock_state {
 public:
  constexpr lock_state() noexcept = default;
  constexpr explicit lock_state(std::uint64_t word) noexcept
      : word_(word & ~(std::uint64_t{1} << 63)) {}
  constexpr lock_state(std::uint64_t holder, lock_condition condition, unsigned attempts,
                       record_id origin) noexcept
      : word_(holder | std::uint64_t{origin.index_plus_1} << 16 |
              std::uint64_t{origin.generation & origin_generation_mask} << 8 |
              std::uint64_t{attempts} << 2 | static_cast<std::uint64_t>(condition)) {}

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] constexpr std::uint64_t holder_half() const noexcept { return word_ & holder_mask; }
  [[nodiscard]] constexpr record_id holder() const noexcept {
    return {static_cast<std::uint32_t>(word_ >> 32 & 0xffff),
            static_cast<std::uint32_t>(word_ >> 48 & holder_generation_mask)};
  }
  [[nodiscard]] constexpr record_id origin() const noexcept {
    return {static_cast<std::uint32_t>(word_ >> 16 & 0xffff),
            static_cast<std::uint32_t>(word_ >> 8 & origin_generation_mask)};
  }
  [[nodiscard]] constexpr unsigned attempts() const noexcept {
    return static_cast<unsigned>(word_ >> 2 & max_attempts);
  }
  [[nodiscard]] constexpr lock_condition condition() const noexcept {
    return static_cast<lock_condition>(word_ & 3);
  }

  // Whether the library ever stores such a word. Any other word is damage.
  [[nodiscard]] constexpr bool is_valid() const noexcept {
    const bool has_history = attempts() != 0 || origin();
    switch (condition()) {
      case lock_condition::consistent:
        return !has_history && origin().generation == 0 && !(!holder() && holder().generation != 0);
      case lock_condition::unrepaired: return !holder();
      case lock_condition::repairing: return bool{holder()} && attempts() != 0;
      case lock_condition::not_recoverable: return !holder() && attempts() != 0;
    }
    return false;
  }

 private:
  std::uint64_t word_ = 0;
};

static_assert(lock_state(0, lock_condition::consistent, 0, {}).word() == free_consistent);
static_assert(!lock_state(0).is_valid() && lock_state(free_consistent).is_valid());

}  // namespace outlive::detail
