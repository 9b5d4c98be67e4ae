// state_mask: which bytes of a segment distinguish two states.
//
// Thread ids, process ids, start times, list pointers and return addresses differ from run to run
// while the state is the same. The death log and the table of participants are reports. After the
// victim's death, states that differ only in outlive's own records (which record, which attempt)
// are one state, unless outlive itself is explored.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "format/layout.hpp"

namespace outlive::killtest::detail {

class state_mask {
 public:
  // `base`: of a segment whose constants are known to be right.
  explicit state_mask(const char* base);

  // Adds a mutex at `offset`. `has_state`: it is a robust_mutex, which has a state word.
  void know_lock(std::uint64_t offset, bool has_state);
  [[nodiscard]] bool knows(std::uint64_t offset) const noexcept {
    return special_.contains(offset);
  }

  // Excludes bytes that the user does not count as state.
  void ignore(std::uint64_t offset, std::uint64_t size);

  // The part of the word at `offset` (a multiple of 8) that counts. `coarse`: without outlive's own
  // records.
  [[nodiscard]] std::uint64_t masked(std::uint64_t offset, std::uint64_t word,
                                     bool coarse) const noexcept;

 private:
  enum class kind : std::uint8_t { plain, ignored, lock_and_count, owner_and_users, state };
  [[nodiscard]] kind kind_of(std::uint64_t offset) const noexcept;
  [[nodiscard]] bool is_of_own_records(std::uint64_t offset) const noexcept;
  void know_native(std::uint64_t offset);

  outlive::detail::region_layout at_;
  std::unordered_map<std::uint64_t, kind> special_;
  // of words in which some bytes are ignored
  std::unordered_map<std::uint64_t, std::uint64_t> counting_bits_;
};

}  // namespace outlive::killtest::detail
