#include "records/thread_records.hpp"

#include <cerrno>

#include "format/shared_copy.hpp"
#include "records/adoption.hpp"
#include "records/participants.hpp"
#include "records/thread_slot.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail::thread_records {

namespace {

// Requires: the calling thread holds the liveness mutex. Order of the stores (U2): once the
// generation is new, no lock names the record any more, so its contents may go. The identity comes
// last.
void write_identity(mapping& map, std::uint32_t index, std::uint32_t participant) noexcept {
  thread_record& record = map.record(index);
  // Before the generation, whose release pairs with the acquire in find_bearers(): a reader that
  // sees the new one counts from here. A death in between leaves a count of 0 in a record with
  // nothing pending.
  record.acquisitions.store(0, std::memory_order_relaxed);
  const std::uint64_t former = record.generation.load(std::memory_order_relaxed);
  record.generation.store((former + 1) & generation_bits, std::memory_order_release);
  // pairs with life::is_same(), which reads the generation after all else
  std::atomic_thread_fence(std::memory_order_release);
  // a generation of its own before the entries of the old one go
  crash_barrier();
  held_entry* const held = map.held(index);
  for (std::uint32_t i = 0; i < held_places(map.constants()); ++i)
    held[i].place.store(0, std::memory_order_relaxed);
  // The former thread may have died while reading. Its marks are void while the tid below is not
  // this thread's, and gone when it is.
  for (mark_line* line : {&map.mark_slots_of(index), &map.spilled_marks_of(index)}) {
    for (shared_u32& mark : line->at) mark.store(0, std::memory_order_relaxed);
  }
  crash_barrier();  // empty entries, no marks, before an identity that they would accuse
  record.pid.store(static_cast<std::uint32_t>(current_pid()), std::memory_order_relaxed);
  record.start_time.store(start_time_of(current_tid()), std::memory_order_relaxed);
  record.participant.store(participant, std::memory_order_relaxed);
  const short_name name = current_thread_name();
  store_shared_name(record.name, name);
  record.note.store(0, std::memory_order_relaxed);
  record.waits.store(0, std::memory_order_relaxed);
  record.sleeps_for.store(0, std::memory_order_relaxed);
  // tid last: until it matches the liveness word, readers take the record as dead and empty
  crash_barrier();
  record.tid.store(static_cast<std::uint32_t>(current_tid()), std::memory_order_release);
}

void count_in(mapping& map, std::uint32_t index) noexcept {
  shared_u32& in_use = map.header().records_in_use;
  // Seq_cst: before this thread's first mark and look at a gate, against records_in_use() after a
  // writer's exchange of the gate. The load, too: it is all that happens if another thread has
  // counted this record. A damaged count stays as it is: it counts as all records, and a check
  // shows it.
  std::uint32_t seen = in_use.load(std::memory_order_seq_cst);
  while (is_guarded_count(seen) && (seen & 0xffff) < index + 1 &&
         !in_use.compare_exchange_weak(seen, guarded_count(index + 1), std::memory_order_seq_cst)) {
  }
}

// Acquires the liveness mutex and makes it consistent. It skips a record whose liveness mutex was
// overwritten: one that is not robust would hide its thread's death, and with it the thread's
// locks, permits and jobs.
bool try_hold(thread_record& record) noexcept {
  const int rc = native_mutex::try_lock(record.liveness);
  if (rc == EOWNERDEAD) native_mutex::consistent(record.liveness);
  return rc == 0 || rc == EOWNERDEAD;
}

// Whether anything in the record is pending. Requires: its thread is dead, or the caller holds its
// liveness mutex.
bool has_pending(const mapping& map, std::uint32_t index) noexcept {
  return held_entries(map, index).any_of([&](const seen_entry& entry) {
    return is_pending(map, index, entry);
  });
}

void become(mapping& map, std::uint32_t index, std::uint32_t participant) noexcept {
  write_identity(map, index, participant);
  native_mutex::always_wake(map.record(index).liveness);
  count_in(map, index);
}

bool try_claim(mapping& map, std::uint32_t index, std::uint32_t participant) noexcept {
  if (!is_free(map, index)) return false;
  thread_record& record = map.record(index);
  if (!try_hold(record)) return false;
  // Look again: another thread may have claimed it since, entered a lock and died (U2).
  if (has_pending(map, index)) {
    native_mutex::unlock(record.liveness);
    return false;
  }
  become(map, index, participant);
  return true;
}

}  // namespace

record_snapshot::record_snapshot(const thread_record& record) noexcept
    : life(record),
      pid(static_cast<pid_t>(record.pid.load(std::memory_order_relaxed))),
      tid(static_cast<pid_t>(record.tid.load(std::memory_order_relaxed))),
      start_time(record.start_time.load(std::memory_order_relaxed)),
      note(record.note.load(std::memory_order_relaxed)),
      participant(record.participant.load(std::memory_order_relaxed)) {
  load_shared_name(name, record.name);
}

bool is_held(const thread_record& record) noexcept {
  // Acquire: a lock's state is read after it, and must not be older than the death that it shows.
  return (native_mutex::word(record.liveness) & native_mutex::tid_mask) != 0;
}

bool is_held_by_its_thread(const thread_record& record) noexcept {
  const std::uint32_t holder = native_mutex::word(record.liveness) & native_mutex::tid_mask;
  return holder != 0 && holder == record.tid.load(std::memory_order_acquire);
}

bool is_marked(const thread_record& record) noexcept {
  const std::uint32_t word = native_mutex::word(record.liveness);
  return (word & native_mutex::owner_died) != 0 && (word & native_mutex::tid_mask) == 0;
}

bool is_dead(const thread_record& record) noexcept {
  const std::uint32_t holder = native_mutex::word(record.liveness) & native_mutex::tid_mask;
  const std::uint32_t tid = record.tid.load(std::memory_order_acquire);
  if (holder == 0) return true;
  return holder == tid ? is_named_thread_dead(record, tid)
                       : is_thread_id_free(static_cast<pid_t>(holder));
}

bool is_named_thread_dead(const thread_record& record, std::uint32_t tid) noexcept {
  return is_thread_dead(static_cast<pid_t>(record.pid.load(std::memory_order_relaxed)),
                        static_cast<pid_t>(tid), record.start_time.load(std::memory_order_relaxed));
}

bool is_pending(const mapping& map, std::uint32_t index, const seen_entry& entry) noexcept {
  const auto [lock, native, shared] = map.lock_at(entry.offset());
  if (lock == nullptr) return false;
  const thread_record& record = map.record(index);
  const auto generation =
      static_cast<std::uint32_t>(record.generation.load(std::memory_order_relaxed));
  const lock_state state(lock->state.load(std::memory_order_acquire));
  if (state.holder() == record_id{index + 1, generation & holder_generation_mask}) return true;
  if (state.condition() != lock_condition::consistent &&
      state.origin() == record_id{index + 1, generation & origin_generation_mask}) {
    return true;
  }
  const std::uint32_t tid = record.tid.load(std::memory_order_relaxed);
  return native && tid != 0 && (native_mutex::word(lock->native) & native_mutex::tid_mask) == tid;
}

bool is_free(const mapping& map, std::uint32_t index) noexcept {
  return !is_held(map.record(index)) && !has_pending(map, index);
}

std::optional<std::uint32_t> claim(mapping& map) {
  const std::uint32_t participant = participants::own_index(map);
  participants::refresh_modules(map, participant);
  for (std::uint32_t i = 0; i < map.constants().threads; ++i) {
    if (try_claim(map, i, participant)) return i;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> claim_spare(mapping& map) {
  const std::uint32_t participant = participants::own_index(map);
  const std::uint32_t first = map.constants().threads;
  for (std::uint32_t i = first; i < map.record_count(); ++i) {
    if (try_claim(map, i, participant)) return i;
  }
  // Both are in use. It skips one that a living recoverer has, and keeps a pending one readable
  // while the other will do.
  std::optional<std::uint32_t> oldest;
  for (std::uint32_t i = first; i < map.record_count(); ++i) {
    if (is_held(map.record(i)) && adopt_liveness_if_orphan(map, i, no_wait) != adoption::done)
      return std::nullopt;
    if (!oldest || map.record(i).start_time.load(std::memory_order_relaxed) <
                       map.record(*oldest).start_time.load(std::memory_order_relaxed)) {
      oldest = i;
    }
  }
  if (!oldest || !try_hold(map.record(*oldest))) return std::nullopt;
  become(map, *oldest, participant);
  return oldest;
}

std::uint32_t count_damaged(const mapping& map, std::uint32_t first, std::uint32_t end) noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t i = first; i < end; ++i) {
    if (!is_held(map.record(i)) && !native_mutex::is_intact(map.record(i).liveness)) ++count;
  }
  return count;
}

void release(mapping& map, std::uint32_t index) noexcept {
  native_mutex::unlock(map.record(index).liveness);
}

void release_if_idle(mapping& map) noexcept {
  attachment* const mine = this_thread::attachment_of(map.base());
  if (mine == nullptr) return;
  this_thread::deactivate();
  if (!mine->idle()) return;
  release(map, mine->index);
  this_thread::detach(*mine);
}

std::optional<std::uint32_t> find(const mapping& map, record_id id,
                                  std::uint32_t generation_mask) noexcept {
  if (!id || id.index_plus_1 > map.record_count()) return std::nullopt;
  const std::uint32_t index = id.index_plus_1 - 1;
  const auto generation =
      static_cast<std::uint32_t>(map.record(index).generation.load(std::memory_order_acquire));
  if ((generation & generation_mask) != id.generation) return std::nullopt;
  return index;
}

}  // namespace outlive::detail::thread_records
