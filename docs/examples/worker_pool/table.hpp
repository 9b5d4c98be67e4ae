// The shared table: words and their counts, in shards. A shard is what one lock guards.
//
// Merging a chunk into a shard takes many stores, and the worker can be killed between any two of
// them. Hence a write-ahead journal:
//
//   phase     what the bytes mean                              a repair
//   --------  -----------------------------------------------  -------------------------------
//   idle      the slots are right; the journal is empty        has nothing to do
//   filling   the slots are right; the journal is half written rolls back: forgets the journal
//   applying  the journal is complete; some slots are as it    rolls forward: applies the whole
//             says, some not                                   journal
//
// INV-1  The journal has the final counts of the slots, not what is to be added. So it can be
//        applied twice, and the next heir can finish for one that is killed while it applies.
// INV-2  merged_in[c] becomes the pass before the journal is idle again. So "chunk c of pass p is
//        in this shard" and the counts say the same after every repair, and a chunk that is handed
//        out again is not counted again.
//
// The order of stores matters; crash_barrier.hpp says what keeps it.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <outlive/owner_death.hpp>
#include <outlive/repair.hpp>

#include "worker_pool/text.hpp"

namespace pool {

// length 0: the slot is free, whatever the other bytes are.
struct slot {
  std::uint64_t count;
  std::uint8_t length;
  char text[longest_word];

  [[nodiscard]] std::string_view word() const noexcept { return {text, length}; }
};
static_assert(sizeof(slot) == 56);

enum class phase : std::uint32_t { idle, filling, applying };
enum class mended : std::uint32_t { nothing_to_do, rolled_back, rolled_forward };

// What a repair records when it is done. The shard's lock guards it, too.
struct repair_line {
  pid_t dead_owner;
  mended how;
  std::uint64_t owner_started;  // in ticks since boot; pid and start time name one thread for ever
  std::int64_t ended_ns;        // on the steady clock, which all processes share
};

using counted_word = std::pair<std::string_view, std::uint64_t>;

class shard {
 public:
  static constexpr std::size_t slot_count = 4096;
  static constexpr std::size_t kept_lines = 64;

  // Adds the words of a chunk, unless they have been added in this pass. Requires: the lock; room
  // for all words.
  void merge(std::uint32_t chunk, std::uint32_t pass, const std::vector<counted_word>& words);
  // Makes the shard right again after its owner died. Requires: the lock.
  outlive::repair_result repair(const outlive::owner_death& death);

  // Requires, as all that follows: the lock.
  [[nodiscard]] const std::array<slot, slot_count>& slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint64_t repairs() const noexcept { return repairs_; }
  // Requires: it is one of the last kept_lines. Numbers start with 0.
  [[nodiscard]] const repair_line& line(std::uint64_t number) const noexcept {
    return lines_[number % kept_lines];
  }

 private:
  void fill_journal(std::uint32_t chunk, std::uint32_t pass,
                    const std::vector<counted_word>& words);
  void apply_journal() noexcept;
  void forget_journal() noexcept;
  void write_line(const outlive::thread_identity& owner, mended how) noexcept;
  slot* find_or_free(std::string_view word) noexcept;

  phase phase_{};
  std::uint32_t journal_chunk_ = 0;
  std::uint32_t journal_pass_ = 0;
  std::uint32_t journal_size_ = 0;
  std::array<slot, slot_count> journal_{};  // the slots as they will be
  // by chunk: the last pass that is in the slots
  std::array<std::uint32_t, max_chunks> merged_in_{};
  // open addressing, linear probing; no word is ever removed
  std::array<slot, slot_count> slots_{};
  std::uint64_t repairs_ = 0;
  std::array<repair_line, kept_lines> lines_{};
};

// Which of `shards` shards (a power of two) a word belongs to.
[[nodiscard]] std::size_t shard_of(std::string_view word, std::size_t shards) noexcept;

// Returns: how many shards hold all these words and stay a quarter free; nothing if it were too
//   many.
[[nodiscard]] std::optional<std::size_t> shards_for(const word_counts& words);

}  // namespace pool
