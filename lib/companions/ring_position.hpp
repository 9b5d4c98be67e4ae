// A position in a ring of slots: which one, and how often the ring was gone round before, in one
// word, so that positions can be compared and the slot is found without a division. Positions that
// come out of shared memory are hints: any value is one.
#pragma once

#include <compare>
#include <cstdint>

namespace outlive::detail {

class ring_position {
 public:
  constexpr explicit ring_position(std::uint64_t word) noexcept : word_(word) {}
  constexpr ring_position(std::uint32_t lap, std::uint32_t slot) noexcept
      : word_(std::uint64_t{lap} << 32 | slot) {}

  friend constexpr auto operator<=>(const ring_position&, const ring_position&) noexcept = default;
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] constexpr std::uint32_t lap() const noexcept {
    return static_cast<std::uint32_t>(word_ >> 32);
  }
  [[nodiscard]] constexpr std::uint32_t slot(std::uint32_t capacity) const noexcept {
    const auto slot = static_cast<std::uint32_t>(word_);
    return slot < capacity ? slot : 0;
  }

  [[nodiscard]] constexpr ring_position next(std::uint32_t capacity) const noexcept {
    const std::uint32_t to = slot(capacity) + 1;
    return to < capacity ? ring_position(lap(), to) : ring_position(lap() + 1, 0);
  }
  // The same slot so many rounds before; the first position if there was none.
  [[nodiscard]] constexpr ring_position rounds_before(std::uint32_t rounds) const noexcept {
    return lap() < rounds ? ring_position(0) : ring_position(word_ - (std::uint64_t{rounds} << 32));
  }

  // The last position of that slot that is not after this one.
  [[nodiscard]] constexpr ring_position back_to(std::uint32_t slot_before,
                                                std::uint32_t capacity) const noexcept {
    if (slot_before <= slot(capacity)) return {lap(), slot_before};
    return lap() == 0 ? *this : ring_position(lap() - 1, slot_before);
  }

 private:
  std::uint64_t word_;
};

}  // namespace outlive::detail
