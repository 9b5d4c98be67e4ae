// The state word of a slot of a work queue. One word, so that every change is one compare-and-swap,
// which names the holder at the same instant.
//
//   63..61  kind
//   60..58  lap: the low bits of the lap of the position at which consumers find the job; 0 if
//           free. Of a job that waits, which has no holder, 28..0 are the other bits of the lap
//   57..54  tries: how often the job was handed out
//   53..38  the holder's record index + 1
//   37..0   the low bits of that record's generation, which repeat after 275 billion lives
//
//   kind         tries         holder                 it is
//   -----------  ------------  ---------------------  ------------------------------------------
//   free         0             0                      empty
//   filling      0             producer               being filled; of a dead producer: empty
//   ready        0 to max - 1  0                      a job that waits
//   delayed      0 to max - 1  0                      a job that waits for the time of its slot
//   leased       1 to max      consumer               a job that is being done; of a dead
//                                                     consumer, or when its time is over
//                                                     (lease_clock.hpp): waits again, or at max is
//                                                     a dead letter
//   dead_letter  1 to max      0                      a job that was tried too often
//   examined     1 to max      examiner               a dead letter that is being examined; of a
//                                                     dead examiner: a dead letter
//
// The slot and the whole lap of a job that waits are its place in the order of jobs. A few bits of
// the lap would not do: while jobs are held, the others can be as many rounds apart as the queue
// has slots. A word of 0, or with any other combination, is invalid: such a slot is left alone.
#pragma once

#include <cstdint>

namespace outlive::detail {

enum class job_kind : std::uint8_t {
  free = 1,
  filling,
  ready,
  leased,
  dead_letter,
  examined,
  delayed
};

inline constexpr std::uint32_t job_lap_mask = 7;
inline constexpr std::uint64_t job_high_lap_mask = (std::uint64_t{1} << 29) - 1;
inline constexpr std::uint64_t job_generation_mask = (std::uint64_t{1} << 38) - 1;

struct job_holder_id {
  std::uint64_t index_plus_1 = 0;
  std::uint64_t generation = 0;

  [[nodiscard]] constexpr bool is_nobody() const noexcept {
    return index_plus_1 == 0 && generation == 0;
  }
  friend constexpr bool operator==(const job_holder_id&, const job_holder_id&) noexcept = default;
};

class job_state {
 public:
  constexpr explicit job_state(std::uint64_t word) noexcept : word_(word) {}
  constexpr job_state(job_kind kind, std::uint32_t tries, job_holder_id holder = {},
                      std::uint32_t lap = 0) noexcept
      : word_(std::uint64_t{static_cast<std::uint8_t>(kind)} << 61 |
              std::uint64_t{lap & job_lap_mask} << 58 | std::uint64_t{tries & 0xf} << 54 |
              (holder.index_plus_1 & 0xffff) << 38 | (holder.generation & job_generation_mask)) {}
  // The next state of a job's slot, with the same lap.
  [[nodiscard]] constexpr job_state to(job_kind kind, std::uint32_t tries,
                                       job_holder_id holder = {}) const noexcept {
    return {kind, tries, holder, lap()};
  }

  // A job that waits, at that lap.
  [[nodiscard]] static constexpr job_state waiting(job_kind kind, std::uint32_t tries,
                                                   std::uint32_t lap) noexcept {
    return job_state(job_state(kind, tries, {}, lap).word_ | lap / (job_lap_mask + 1));
  }
  [[nodiscard]] constexpr bool is_waiting() const noexcept {
    return (kind() == job_kind::ready || kind() == job_kind::delayed) &&
           (word_ << 10 & ~(job_high_lap_mask << 10)) == 0;
  }
  [[nodiscard]] constexpr bool is_untried() const noexcept {
    return (word_ & ~(std::uint64_t{job_lap_mask} << 58 | job_high_lap_mask)) ==
           job_state(job_kind::ready, 0).word_;
  }
  // Requires: it waits.
  [[nodiscard]] constexpr std::uint32_t waiting_lap() const noexcept {
    return static_cast<std::uint32_t>((word_ & job_high_lap_mask) << 3) | lap();
  }

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  // may be none of the enumerators
  [[nodiscard]] constexpr job_kind kind() const noexcept {
    return static_cast<job_kind>(word_ >> 61);
  }
  [[nodiscard]] constexpr std::uint32_t lap() const noexcept {
    return static_cast<std::uint32_t>(word_ >> 58) & job_lap_mask;
  }
  [[nodiscard]] constexpr std::uint32_t tries() const noexcept {
    return static_cast<std::uint32_t>(word_ >> 54 & 0xf);
  }
  [[nodiscard]] constexpr job_holder_id holder() const noexcept {
    return {word_ >> 38 & 0xffff, word_ & job_generation_mask};
  }

 private:
  std::uint64_t word_;
};

}  // namespace outlive::detail
