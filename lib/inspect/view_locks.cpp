#include "inspect/view_locks.hpp"

#include <system_error>

#include "directory/lock_class.hpp"
#include "records/marks.hpp"
#include "records/thread_records.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

viewed_condition condition_of(const lock_state& state) noexcept {
  if (!state.is_valid()) return viewed_condition::damaged;
  switch (state.condition()) {
    case lock_condition::consistent: return viewed_condition::consistent;
    case lock_condition::unrepaired: return viewed_condition::unrepaired;
    case lock_condition::repairing: return viewed_condition::repairing;
    case lock_condition::not_recoverable: return viewed_condition::not_recoverable;
  }
  return viewed_condition::damaged;
}

// The record of a thread that has a native mutex and is not, or no longer, named in the state.
std::optional<std::uint32_t> record_of(const mapping& map, std::uint32_t tid) noexcept {
  for (std::uint32_t i = 0; i < map.record_count(); ++i) {
    const thread_record& record = map.record(i);
    if (record.tid.load(std::memory_order_relaxed) == tid && thread_records::is_held(record))
      return i;
  }
  return std::nullopt;
}

void describe_holder(viewed_lock& lock, const mapping& map, const lock_words& words,
                     living_threads& living) {
  const std::uint32_t tid = words.native & native_mutex::tid_mask;
  lock.waited_for = (words.native & native_mutex::waiters) != 0;
  lock.holder = thread_records::find(map, words.state.holder(), holder_generation_mask);
  if (tid == 0) {
    lock.holder_died = (words.native & native_mutex::owner_died) != 0 || words.state.holder();
    return;
  }
  lock.holder_tid = static_cast<pid_t>(tid);
  if (!lock.holder) lock.holder = record_of(map, tid);
  const bool is_its =
      lock.holder && map.record(*lock.holder).tid.load(std::memory_order_relaxed) == tid;
  lock.holder_died =
      is_its ? living.is_dead(map, *lock.holder) : is_thread_id_free(lock.holder_tid);
  lock.orphaned = lock.holder_died;
}

// Loads the name of the block. Returns: false if it does not fit its check.
bool load_name(const mapping& map, std::uint32_t line, blocks::name_copy& name) {
  try {
    if (blocks::load_live_name(map, line, name)) return true;
    name.length = 0;
    return blocks::is_sound(map, line);
  } catch (const std::system_error&) {
    name.length = 0;
    return false;
  }
}

}  // namespace

bool read_lock_words(lock_words& into, const lock_bytes& lock) noexcept {
  for (int looks = 0; looks < 100; ++looks) {
    const std::uint64_t before = lock.state.load(std::memory_order_acquire);
    into.native = native_mutex::word(lock.native);
    into.state = lock_state(before);
    if (lock.state.load(std::memory_order_acquire) == before &&
        native_mutex::word(lock.native) == into.native)
      return true;
  }
  return false;
}

walk_end walk_blocks(const mapping& map, const std::function<void(const seen_block&)>& visit) {
  walk_end result;
  try {
    result.end = blocks::end_of(map);
  } catch (const std::system_error&) {
    result.end_is_sound = false;
    return result;
  }
  blocks::name_copy name;
  for (std::uint32_t line = 0; line < result.end;) {
    const block_header& block = blocks::at(map, line);
    const std::uint32_t lines = __atomic_load_n(&block.lines, __ATOMIC_RELAXED);
    const std::uint64_t size = __atomic_load_n(&block.size, __ATOMIC_RELAXED);
    // Checks the numbers that were read, not those in memory: others may write these meanwhile.
    const bool sound = blocks::has_sound_extent(map, line) && lines != 0 &&
                       lines <= result.end - line && size / cache_line < lines;
    if (!sound) {
      if (result.damaged_lines++ == 0) result.first_damaged = line;
      ++line;
      continue;
    }
    const bool named = load_name(map, line, name);
    visit({line, lines, size, blocks::state_of(block), named, name});
    line += lines;
  }
  return result;
}

bool living_threads::is_dead(const mapping& map, std::uint32_t index) {
  const thread_record& record = map.record(index);
  const thread_records::life life(record);
  const auto known = alive_.find(index);
  if (known != alive_.end() && known->second == life.generation()) return false;
  const bool dead = thread_records::is_dead(record);
  if (!dead && life.is_same()) alive_[index] = life.generation();
  return dead;
}

viewed_lock view_lock(const mapping& map, std::uint64_t offset, living_threads& living) {
  viewed_lock seen;
  seen.offset = offset;
  const auto [lock, native, shared] = map.lock_at(offset);
  if (lock == nullptr) return seen;
  seen.lock_class = lock_class_name(map, *lock);
  if (!native) return seen;
  lock_words words;
  read_lock_words(words, *lock);
  seen.condition = condition_of(words.state);
  seen.attempts = words.state.attempts();
  if (shared) seen.readers = count_readers(map, mark_id(offset));
  seen.shared = shared;
  describe_holder(seen, map, words, living);
  return seen;
}

}  // namespace outlive::detail
