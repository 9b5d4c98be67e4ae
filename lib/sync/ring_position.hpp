// A position in a ring of slots: which one, and how often the ring was gone round before, in one word, so that positions can be compared and the slot
// is found without a division. Positions that come out of shared memory are hints: any value is one.
#pragma once

#include <cstdint>

namespace outlive::detail {

class ring_position {
 public:
  constexpr explicit ring_position(std::uint64_t word) noexcept : word_(word) {}
  constexpr ring_position(std::uint32_t lap, std::uint32_t slot) noexcept : word_(std::uint64_t{lap} << 32 | slot) {}

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] constexpr std::uint32_t lap() const noexcept { return static_cast<std::uint32_t>(word_ >> 32); }
  [[nodiscard]] constexpr std::uint32_t slot(std::uint32_t capacity) const noexcept {
    const auto slot = static_cast<std::uint32_t>(word_);
    return slot < capacity ? slot : 0;
  }

  // Requires: steps <= capacity.
  [[nodiscard]] constexpr ring_position after(std::uint32_t steps, std::uint32_t capacity) const noexcept {
    const std::uint32_t to = slot(capacity) + steps;
    return to < capacity ? ring_position(lap(), to) : ring_position(lap() + 1, to - capacity);
  }

  // How many slots lie between this and a later one: 0 if it is not later, at most one round.
  [[nodiscard]] constexpr std::uint32_t distance_to(ring_position later, std::uint32_t capacity) const noexcept {
    if (later.word_ <= word_) return 0;
    const std::uint32_t from = slot(capacity), to = later.slot(capacity);
    const std::uint32_t laps = later.lap() - lap();
    if (laps > 1 || (laps == 1 && to >= from)) return capacity;
    return laps == 1 ? capacity - from + to : to > from ? to - from : 0;
  }

  // The last position of that slot that is not after this one.
  [[nodiscard]] constexpr ring_position back_to(std::uint32_t slot_before, std::uint32_t capacity) const noexcept {
    if (slot_before <= slot(capacity)) return {lap(), slot_before};
    return lap() == 0 ? *this : ring_position(lap() - 1, slot_before);
  }

 private:
  std::uint64_t word_;
};

}  // namespace outlive::detail
