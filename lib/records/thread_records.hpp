// Thread records: which threads live, which are dead, and what those had in hand. The rules are U2,
// U3, U6 and U7 of docs/protocol.md.
//
// Only the holder of a record's liveness mutex writes the record. There are no marks "done" in it.
// An entry of a dead record is pending iff its lock still names that record and generation (as
// holder, or as origin while not consistent), or the lock's native word still holds the record's
// thread id. A record is free iff no thread holds its liveness mutex and nothing in it is pending.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"
#include "records/held_entries.hpp"
#include "sys/process.hpp"

namespace outlive::detail::thread_records {

// One life of a record. What a thread reads of another's record between two looks at the generation
// belongs to that life if both looks see the same. A claim stores the new generation first
// (write_identity()).
class life {
 public:
  // Acquire: pairs with the release of the word that named this generation, and with the liveness
  // word.
  explicit life(const thread_record& record) noexcept
      : record_(record), generation_(record.generation.load(std::memory_order_acquire)) {}

  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  // Whether what was read since the construction is of this life. A load with acquire would not do:
  // it keeps later loads below it, but lets earlier ones, of pid or tid, sink below it. The fence
  // keeps them above. It pairs with the release fence in write_identity(): a thread that has read a
  // byte of the next life sees its generation here.
  [[nodiscard]] bool is_same() const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    return record_.generation.load(std::memory_order_relaxed) == generation_;
  }

 private:
  const thread_record& record_;
  std::uint64_t generation_;
};

// What a record says of its thread. It is valid if is_same() after the last use of the record.
struct record_snapshot : life {
  explicit record_snapshot(const thread_record& record) noexcept;

  pid_t pid;
  pid_t tid;
  std::uint64_t start_time;
  std::uint64_t note;
  std::uint32_t participant;
  short_name name;
};

// Questions about a record's thread. The first three do not ask the kernel. The others do, and the
// last one asks nothing else.

// Whether a thread's id is in the liveness word. It stays there for a while after a death, because
// the liveness mutex is walked last (U7), and for ever if the thread held more than 2,048 mutexes.
bool is_held(const thread_record& record) noexcept;
// Whether that id is the one that the record names. It is not while another thread claims the
// record.
bool is_held_by_its_thread(const thread_record& record) noexcept;
// Whether the kernel has marked the liveness mutex: the thread ended without releasing the record.
bool is_marked(const thread_record& record) noexcept;

// Whether the thread is certainly dead (U6). A record that is not held counts as dead.
bool is_dead(const thread_record& record) noexcept;
// The same of the thread that had the record in that life.
inline bool is_dead(const thread_record& record, const life& then) noexcept {
  return is_dead(record) && then.is_same();
}
// Whether the thread that the record names is dead, whatever the liveness word says. `tid` is what
// the caller read of its tid, with acquire.
bool is_named_thread_dead(const thread_record& record, std::uint32_t tid) noexcept;

bool is_pending(const mapping& map, std::uint32_t index, const seen_entry& entry) noexcept;
bool is_free(const mapping& map, std::uint32_t index) noexcept;

// Claims a free record below `threads` for the calling thread; nothing when there is none.
std::optional<std::uint32_t> claim(mapping& map);

// Claims one of the records that are reserved for recovery. If both belong to dead recoverers whose
// locks still name them, it overwrites the older one: a report will call that former heir unknown.
// Returns: nothing while living recoverers have both.
std::optional<std::uint32_t> claim_spare(mapping& map);

// Returns: how many of the records [first, end) can never be claimed, because their liveness mutex
// was overwritten.
std::uint32_t count_damaged(const mapping& map, std::uint32_t first, std::uint32_t end) noexcept;

// Releases the calling thread's record. Requires: the thread holds nothing.
void release(mapping& map, std::uint32_t index) noexcept;

// Releases the calling thread's record in the segment, if it has one and holds nothing: a segment
// was closed.
void release_if_idle(mapping& map) noexcept;

// Returns: the record that a lock's word names, if it still is at that life. `generation_mask` has
// the bits of the generation that the word keeps.
std::optional<std::uint32_t> find(const mapping& map, record_id id,
                                  std::uint32_t generation_mask) noexcept;

}  // namespace outlive::detail::thread_records
