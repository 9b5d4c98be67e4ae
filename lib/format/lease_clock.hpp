// The time of a slot of a work queue, one word. It says when a delayed job is due, and, in a queue
// with a time limit for leases, when the lease of the slot is over and who hands the job out again.
//
//   63       62..59  58..0              it says
//   -------  ------  -----------------  -----------------------------------------------------------
//   0        0       ns                 of a delayed job: it is not handed out before; else nothing
//   0        tries   ns                 the lease of that try is over then
//   1        tries   53..38, 37..0      the lease of that try is over. The thread of that record
//                                         index + 1 and generation, as in the state, hands the job
//                                         out again; of a dead thread: any may
//
// It counts for the lease that the state names if both have the same tries. Times are ns of
// CLOCK_MONOTONIC, up to 18 years after the boot. A later lease of the slot is never over at the
// same time as an earlier one that is over, and a lease that another thread took is over 1 ns later
// than it was. So a running word whose time is over stands for one state of the slot.
#pragma once

#include <algorithm>
#include <cstdint>

#include "format/job_state.hpp"

namespace outlive::detail {

class lease_clock {
 public:
  static constexpr std::uint64_t last_time = (std::uint64_t{1} << 59) - 1;

  constexpr explicit lease_clock(std::uint64_t word) noexcept : word_(word) {}
  [[nodiscard]] static constexpr lease_clock running(std::uint32_t tries,
                                                     std::uint64_t until) noexcept {
    return lease_clock(tries_bits(tries) | std::min(until, last_time));
  }
  [[nodiscard]] static constexpr lease_clock claimed(std::uint32_t tries,
                                                     job_holder_id by) noexcept {
    return lease_clock(claimed_bit | tries_bits(tries) | (by.index_plus_1 & 0xffff) << 38 |
                       (by.generation & job_generation_mask));
  }

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] constexpr std::uint32_t tries() const noexcept {
    return static_cast<std::uint32_t>(word_ >> 59) & 0xf;
  }
  [[nodiscard]] constexpr bool is_of(job_state state) const noexcept {
    return state.kind() == job_kind::leased && state.tries() == tries();
  }
  [[nodiscard]] constexpr bool is_claimed() const noexcept { return (word_ & claimed_bit) != 0; }
  // Requires: is_claimed().
  [[nodiscard]] constexpr job_holder_id claimer() const noexcept {
    return {word_ >> 38 & 0xffff, word_ & job_generation_mask};
  }
  // Requires: it is not claimed.
  [[nodiscard]] constexpr std::uint64_t time() const noexcept { return word_ & last_time; }

 private:
  static constexpr std::uint64_t claimed_bit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t tries_bits(std::uint32_t tries) noexcept {
    return std::uint64_t{tries & 0xf} << 59;
  }

  std::uint64_t word_;
};

}  // namespace outlive::detail
