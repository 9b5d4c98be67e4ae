// The mutexes in live objects.
#include <string_view>
#include <typeinfo>

#include <outlive/robust_mutex.hpp>
#include <outlive/robust_shared_mutex.hpp>

#include "directory/lock_class.hpp"
#include "directory/names.hpp"
#include "inspect/check/problems.hpp"
#include "inspect/view_locks.hpp"
#include "records/held_entries.hpp"
#include "records/thread_records.hpp"
#include "sys/hex.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

// how names of outlive::guarded<T> begin
constexpr std::string_view guarded_types = "N7outlive7guardedI";

bool same(const lock_words& a, const lock_words& b) noexcept {
  return a.native == b.native && a.state.word() == b.state.word();
}

// "An entry is written before the native lock and removed after the native unlock": the owner has
// the mutex in hand, living or dead. A thread that acquired a mutex during the look passes: it may
// have released this one and acquired it again.
bool owner_has_it_in_hand(const mapping& map, std::uint32_t tid, std::uint64_t offset) noexcept {
  for (std::uint32_t i = 0; i < map.record_count(); ++i) {
    const thread_record& record = map.record(i);
    if (record.tid.load(std::memory_order_relaxed) != tid) continue;
    const std::uint64_t before = record.acquisitions.load(std::memory_order_acquire);
    if (held_entries(map, i).names(offset) ||
        record.acquisitions.load(std::memory_order_acquire) != before)
      return true;
  }
  return false;
}

void check_holder(problem_list& found, const mapping& map, const lock_words& words,
                  const std::string& object) {
  const record_id holder = words.state.holder();
  if (!holder) return;
  if (holder.index_plus_1 > map.record_count()) {
    return found.add(object, "a holder in thread record " + std::to_string(holder.index_plus_1 - 1),
                     "at most " + std::to_string(map.record_count() - 1));
  }
  // A record that is reserved for recovery may be claimed from a dead heir whose mutex still names
  // it.
  const bool may_be_taken = holder.index_plus_1 > map.constants().threads &&
                            words.state.condition() == lock_condition::repairing;
  if (!may_be_taken && !thread_records::find(map, holder, holder_generation_mask)) {
    found.add(object,
              "a holder in thread record " + std::to_string(holder.index_plus_1 - 1) + " at life " +
                  hex(holder.generation),
              "that record at its life");
  }
  if ((words.native & (native_mutex::tid_mask | native_mutex::owner_died)) == 0) {
    found.add(object, "a holder, and a native mutex that is free", "that the holder has it");
  }
}

// The gate is closed while a writer is inside, or died there and the value is not consistent. A
// closed gate with a consistent mutex is what a death leaves.
void check_gate(problem_list& found, const lock_bytes& lock, const std::string& object) {
  const std::uint64_t before = lock.state.load(std::memory_order_acquire);
  const std::uint32_t gate =
      reinterpret_cast<const shared_lock_bytes&>(lock).gate.load(std::memory_order_acquire);
  if (gate < gate_open || gate > gate_awaited)
    return found.add(object, "gate " + hex(gate), "open, closed or awaited");
  if (gate != gate_open || before == free_consistent ||
      lock.state.load(std::memory_order_acquire) != before)
    return;
  found.add(object, "an open gate, and state " + hex(before),
            "a closed gate until the mutex is free and consistent");
}

void check_lock(problem_list& found, const mapping& map, std::uint64_t offset, bool is_first,
                const std::string& object) {
  const auto [lock, native, shared] = map.lock_at(offset);
  if (lock == nullptr) return;
  if (!native)
    return found.add(object, "a native mutex of another kind", "the one that its constructor made");
  // A search for the object around each mutex of a large one would take too long.
  if (!(is_first ? fitting_lock_class(map, *lock) : lock_class_of(map, *lock))) {
    found.add(object, "lock class " + hex(__atomic_load_n(&lock->lock_class, __ATOMIC_RELAXED)),
              "one of the names that fits the object");
  }
  lock_words words;
  if (!read_lock_words(words, *lock)) return;
  if (lock->state.load(std::memory_order_relaxed) >> 63 != 0)
    found.add(object, "the reserved bit of its state set", "0");
  if (!words.state.is_valid())
    return found.add(object, "state " + hex(words.state.word()),
                     "a condition, with what belongs to it");
  found.at_most(words.state.attempts(), map.constants().attempts, object, "attempts");
  found.at_most(words.state.origin().index_plus_1, map.record_count(), object,
                "thread record of whom it was left by");
  check_holder(found, map, words, object);
  if (shared) check_gate(found, *lock, object);
  const std::uint32_t tid = words.native & native_mutex::tid_mask;
  if (tid == 0 || owner_has_it_in_hand(map, tid, offset)) return;
  lock_words now;
  if (!read_lock_words(now, *lock) || !same(now, words)) return;
  found.add(object, "thread " + std::to_string(tid) + " as the owner in its native mutex",
            "that a record of this thread has it in hand");
}

bool begins_with_lock(const mapping& map, const seen_block& block) noexcept {
  const std::string_view type = names::text_of(map, block.name.type_name);
  return type == typeid(robust_mutex).name() || type == typeid(robust_shared_mutex).name() ||
         type.starts_with(guarded_types);
}

}  // namespace

void check_locks(problem_list& found, const mapping& map) {
  walk_blocks(map, [&](const seen_block& block) {
    if (block.state != block_state::live) return;
    const std::uint64_t begin = map.layout().objects + block.object_line() * cache_line;
    const std::string name(block.name.text());
    for (std::uint64_t at = 0; at + cache_line <= block.size; at += cache_line) {
      if (map.lock_at(begin + at).lock == nullptr) continue;
      check_lock(found, map, begin + at, at == 0,
                 "mutex \"" + name + '"' + (at == 0 ? "" : "+" + hex(at)));
    }
    if (block.size >= cache_line && block.name_is_sound && begins_with_lock(map, block) &&
        map.lock_at(begin).lock == nullptr) {
      found.add("object \"" + name + '"', "no mutex", "one at its begin, as its type says");
    }
  });
}

}  // namespace outlive::detail
