// A position in a ring of slots: a slot, and how often the ring was gone round before (the lap), in
// one word, so that the slot is found without a division.
//
// The lap has 32 bits and wraps after 2^32 rounds, within hours. So positions have no order of
// their own: of two that are less than 2^31 rounds apart, is_before() says which comes first.
// Positions that come out of shared memory are hints: any value is one.
#pragma once

#include <cstdint>

namespace outlive::detail {

class ring_position {
 public:
  constexpr explicit ring_position(std::uint64_t word) noexcept : word_(word) {}
  constexpr ring_position(std::uint32_t lap, std::uint32_t slot) noexcept
      : word_(std::uint64_t{lap} << 32 | slot) {}

  [[nodiscard]] constexpr bool is_before(ring_position other) const noexcept {
    return static_cast<std::int64_t>(word_ - other.word_) < 0;
  }
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

  // The last position of that slot that is before this one.
  [[nodiscard]] constexpr ring_position back_to(std::uint32_t slot_before,
                                                std::uint32_t capacity) const noexcept {
    return {slot_before < slot(capacity) ? lap() : lap() - 1, slot_before};
  }

 private:
  std::uint64_t word_;
};

}  // namespace outlive::detail
