// The two words of an entry of the death log, in both directions.
//
// `number` says whose entry is in the slot:
//   63      busy: a writer has the slot, and nothing else in it counts
//   62..47  the writer's record index + 1   \  0 unless busy
//   46..40  the writer's generation (7 bits) /
//   39..0   number of the entry, from 1; 0: none yet
//
// `result` says how it ended, in one store, so that a death leaves both parts or neither:
//   63..50  lap: low bits of the number of rounds of the ring; a result of another lap belongs to
//           another entry
//   49..47  death_outcome
//   46..0   nanoseconds that the repair took, at most 39 hours; 0 if none has ended
#pragma once

#include <algorithm>
#include <cstdint>

#include "format/death_layout.hpp"
#include "format/lock_state.hpp"

namespace outlive::detail {

inline constexpr std::uint64_t death_number_mask = (std::uint64_t{1} << 40) - 1;
inline constexpr std::uint32_t death_generation_mask = 0x7f;

class death_word {
 public:
  constexpr explicit death_word(std::uint64_t word) noexcept : word_(word) {}
  static constexpr death_word busy(std::uint64_t number, record_id writer) noexcept {
    return death_word(std::uint64_t{1} << 63 | std::uint64_t{writer.index_plus_1} << 47 |
                      std::uint64_t{writer.generation & death_generation_mask} << 40 | number);
  }

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] constexpr bool is_busy() const noexcept { return word_ >> 63 != 0; }
  [[nodiscard]] constexpr std::uint64_t number() const noexcept {
    return word_ & death_number_mask;
  }
  [[nodiscard]] constexpr record_id writer() const noexcept {
    return {static_cast<std::uint32_t>(word_ >> 47 & 0xffff),
            static_cast<std::uint32_t>(word_ >> 40) & death_generation_mask};
  }
  // Whether it is the word of a complete entry of this slot.
  [[nodiscard]] constexpr bool is_whole(std::uint64_t slot) const noexcept {
    return word_ != 0 && word_ == number() && (word_ - 1) % death_log_capacity == slot;
  }

 private:
  std::uint64_t word_;
};

class death_result {
 public:
  constexpr explicit death_result(std::uint64_t word) noexcept : word_(word) {}
  constexpr death_result(std::uint64_t number, std::uint32_t outcome, std::uint64_t ns) noexcept
      : word_(lap_of(number) << 50 | std::uint64_t{outcome} << 47 | std::min(ns, longest)) {}

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] constexpr bool is_of(std::uint64_t number) const noexcept {
    return word_ >> 50 == lap_of(number);
  }
  [[nodiscard]] constexpr std::uint32_t outcome() const noexcept {
    return static_cast<std::uint32_t>(word_ >> 47) & 7;
  }
  [[nodiscard]] constexpr std::uint64_t repair_ns() const noexcept { return word_ & longest; }

 private:
  static constexpr std::uint64_t longest = (std::uint64_t{1} << 47) - 1;
  static constexpr std::uint64_t lap_of(std::uint64_t number) noexcept {
    return (number - 1) / death_log_capacity & 0x3fff;
  }

  std::uint64_t word_;
};

}  // namespace outlive::detail
