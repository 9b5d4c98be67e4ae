// timeline: the segment's bytes after any chain of deaths.
//
// The explorer maps the segment and plays logs of stores forward and back on it. Processes that
// must not change it have a private view of the same file, which they throw away.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "killtest/state/state_mask.hpp"
#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// A death: after so many stores of the log, its set-up included, with these robust locks.
struct log_position {
  std::shared_ptr<const recording> log;
  std::size_t stores = 0;
  std::uint32_t held = 0;  // index of the list
  bool before_next = false;
  bool operator==(const log_position&) const = default;
};

// The victim's death, then those of heirs: it names a state.
using death_chain = std::vector<log_position>;

// A word that differs between two states.
struct different_word {
  std::uint64_t offset = 0;
  std::uint64_t here = 0;
  std::uint64_t there = 0;
  std::uint64_t bits = 0;  // that differ, and count; not 0
  // Of the segment.
  [[nodiscard]] std::uint64_t first_bit() const noexcept {
    return offset * 8 + static_cast<unsigned>(std::countr_zero(bits));
  }
};

class timeline {
 public:
  timeline(char* base, std::uint64_t size);

  // Excludes bytes that do not count. Requires: no seek() yet.
  void ignore(std::span<const std::byte> bytes);

  // Makes the state after these deaths, one after the other.
  void seek(std::span<const log_position> deaths);

  // The first word that counts and differs from `bytes`, which are as many as the segment's.
  [[nodiscard]] std::optional<different_word> first_difference(const char* bytes) const noexcept;

  // Hashes of the state, relative to the state without any death, whose hash is 0. The coarse one
  // ignores outlive's own records.
  [[nodiscard]] std::uint64_t fine() const noexcept { return fine_; }
  [[nodiscard]] std::uint64_t coarse() const noexcept { return coarse_; }

  // Offsets of the robust mutexes that dead threads had in hand, in all logs so far.
  [[nodiscard]] const std::vector<std::uint64_t>& mutexes() const noexcept { return mutexes_; }
  // Whether this store of the log went into an object of the segment, other than into a lock; and
  // whether any of its tested part did. Requires: learn_locks(log).
  [[nodiscard]] bool is_in_an_object(const recording& log, const logged_store& store) const;
  [[nodiscard]] bool changes_objects(const recording& log) const;
  // Those of them that a death in this state has left unrepaired: their owner died inside.
  [[nodiscard]] std::vector<std::uint64_t> left_inside() const;
  // Requires: called for each log before it is played.
  void learn_locks(const recording& log);

 private:
  struct marked_word {
    std::uint64_t offset;
    std::uint32_t was;
  };
  struct level {
    log_position at;
    std::vector<marked_word> marks;
  };
  void poke(std::uint64_t offset, std::span<const std::byte> bytes);
  void play(const recording& log, std::size_t from, std::size_t to);
  void mark(level& dead);
  void unmark(level& dead);
  void toggle(std::uint64_t offset, std::size_t size) noexcept;

  char* base_;
  std::uint64_t size_;
  state_mask mask_;
  std::uint64_t fine_ = 0;
  std::uint64_t coarse_ = 0;
  std::vector<level> levels_;
  std::vector<std::uint64_t> mutexes_;
};

}  // namespace outlive::killtest::detail
