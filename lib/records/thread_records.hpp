// Thread records: who lives, who is dead and what it had in hand. The rules are U2, U3, U6 and U7
// of docs/protocol.md.
//
// There are no marks "done" in a record. An entry of a dead record is pending iff its lock still
// names that record and generation (as holder, or as origin while not consistent), or the lock's
// native word still holds the record's thread id. A record is free iff nobody holds its liveness
// mutex and nothing in it is pending. Nobody but the holder of the liveness mutex writes a record.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"
#include "records/held_entries.hpp"

namespace outlive::detail::thread_records {

// One life of a record. Who reads a record that is not its own has it in two looks at the
// generation: what was read between them belongs to that life if both saw the same. A claim stores
// the new generation first (write_identity()).
class life {
 public:
  // Acquire: pairs with the release of the word that named this generation, and with the liveness
  // word.
  explicit life(const thread_record& record) noexcept
      : record_(record), generation_(record.generation.load(std::memory_order_acquire)) {}

  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  // Whether what was read since the construction is of this life. A load with acquire would not do:
  // it keeps later loads below it, and lets the earlier ones of pid or tid sink under it. The fence
  // keeps them above, and pairs with the release fence in write_identity(): who has read a byte of
  // the next life sees its generation here.
  [[nodiscard]] bool is_same() const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    return record_.generation.load(std::memory_order_relaxed) == generation_;
  }

 private:
  const thread_record& record_;
  std::uint64_t generation_;
};

// Whether the record's liveness word says that its thread lives. It lags behind a death (U7: the
// liveness mutex is walked last), and after more than 2,048 held mutexes it may say so for ever.
bool is_held(const thread_record& record) noexcept;

// Whether the thread of the record is certainly dead, by the liveness word or by asking the kernel
// (U6). A record that never had a thread counts as dead.
bool is_dead(const thread_record& record) noexcept;

bool is_pending(const mapping& map, std::uint32_t index, const seen_entry& entry) noexcept;
bool is_free(const mapping& map, std::uint32_t index) noexcept;

// Claims a free record below `threads` for the calling thread; nothing when there is none.
std::optional<std::uint32_t> claim(mapping& map);

// Claims one of the records kept for recovery. If both belong to dead recoverers whose locks still
// name them, the older one is overwritten: a report will call that former heir unknown. Nothing
// while living recoverers have them.
std::optional<std::uint32_t> claim_spare(mapping& map);

// How many of the records from `first` to before `end` nobody can claim, for their liveness mutex
// was overwritten: none of them is ever held again.
std::uint32_t count_damaged(const mapping& map, std::uint32_t first, std::uint32_t end) noexcept;

// Gives the calling thread's record back. Requires: it holds nothing.
void release(mapping& map, std::uint32_t index) noexcept;

// Gives back the calling thread's record in the segment, if it has one and holds nothing: a segment
// was closed.
void give_back_if_idle(mapping& map) noexcept;

// The record that a lock's word names, if it still is at that life; `generation_mask` says how much
// of it the word keeps.
std::optional<std::uint32_t> find(const mapping& map, record_id id,
                                  std::uint32_t generation_mask) noexcept;

}  // namespace outlive::detail::thread_records
