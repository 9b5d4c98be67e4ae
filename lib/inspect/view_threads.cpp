#include "inspect/view_threads.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "format/shared_copy.hpp"
#include "inspect/view_locks.hpp"
#include "records/held_entries.hpp"
#include "records/marks.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"
#include "repair/report.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

std::string text_of(const short_name& name) {
  return name[0] == 0 ? "unknown" : name.data();
}

// Whether the thread holds the lock, and whether it waits for it: it lives, has the lock in hand,
// and another thread holds the lock.
struct standing {
  bool held = false;
  bool waits = false;
};

standing standing_of(const mapping& map, const viewed_thread& thread,
                     std::uint64_t offset) noexcept {
  const auto [lock, native, shared] = map.lock_at(offset);
  lock_words words;
  if (lock == nullptr || !native || !read_lock_words(words, *lock)) return {};
  const record_id me = holder_id(thread.record, thread.generation);
  const std::uint32_t owner = words.native & native_mutex::tid_mask;
  standing found;
  found.held =
      words.state.holder() == me || (owner != 0 && owner == static_cast<std::uint32_t>(thread.tid));
  found.waits = !found.held && owner != 0 && thread.alive;
  return found;
}

void read_holds(viewed_thread& thread, const mapping& map, std::uint32_t participant) {
  held_entries(map, thread.record).for_each([&](const seen_entry& entry) {
    const std::uint64_t place = entry.offset();
    const bool seen_before =
        std::any_of(thread.in_hand.begin(), thread.in_hand.end(),
                    [&](const held_lock& each) { return each.mutex_offset == place; });
    if (seen_before || map.lock_at(place).lock == nullptr) return;  // one that moves is there twice
    held_lock& hold = thread.in_hand.emplace_back();
    hold.mutex_offset = place;
    hold.acquired_at = to_frame(locate(map, participant, entry.return_address));
    const standing now = standing_of(map, thread, place);
    hold.held = now.held;
    if (now.waits && !thread.waiting_for) thread.waiting_for = place;
  });
  // in the order of acquisition
  std::reverse(thread.in_hand.begin(), thread.in_hand.end());
}

void read_marks(viewed_thread& thread, const mapping& map) {
  mark_ids ids;
  const std::size_t count = marks_in(map, thread.record, ids);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t offset = std::uint64_t{ids[i]} * cache_line;
    const auto [lock, native, shared] = map.lock_at(offset);
    if (lock != nullptr && shared) thread.reads.push_back(offset);
  }
}

}  // namespace

std::optional<viewed_thread> view_thread(const mapping& map, std::uint32_t index) {
  const thread_record& record = map.record(index);
  const thread_records::life life(record);
  if (thread_records::is_free(map, index)) return std::nullopt;
  thread_facts facts;
  if (!describe_thread(facts, map, index, life.generation())) return std::nullopt;
  viewed_thread seen;
  static_cast<thread_identity&>(seen) = facts.thread;
  seen.record = index;
  seen.generation = life.generation() & generation_bits;
  seen.alive = !thread_records::is_dead(record);
  seen.waits = record.waits.load(std::memory_order_relaxed);
  read_holds(seen, map, facts.participant);
  // After the entries, which were read with acquire: a mutex that was released and acquired again
  // meanwhile belongs to this count (hold_times).
  seen.acquisitions = record.acquisitions.load(std::memory_order_acquire);
  if (seen.alive) read_marks(seen, map);  // marks of the dead are void
  if (!life.is_same()) return std::nullopt;
  return seen;
}

void view_pending_deaths(std::vector<pending_death>& to, const mapping& map, std::uint32_t index) {
  const thread_record& record = map.record(index);
  const thread_records::life life(record);
  if (!thread_records::is_dead(record)) return;
  thread_facts facts;
  if (!describe_thread(facts, map, index, life.generation())) return;
  const record_id me = holder_id(index, life.generation());
  const std::size_t before = to.size();
  held_entries(map, index).for_each([&](const seen_entry& entry) {
    const std::uint64_t place = entry.offset();
    const bool seen_before =
        std::any_of(to.begin() + static_cast<std::ptrdiff_t>(before), to.end(),
                    [&](const pending_death& each) { return each.held.mutex_offset == place; });
    const auto [lock, native, shared] = map.lock_at(place);
    lock_words words;
    if (seen_before || lock == nullptr || !native || !read_lock_words(words, *lock)) return;
    // Without it in the state it died on the way in or out, and its heir finds nothing to repair.
    if (words.state.holder() != me) return;
    pending_death& death = to.emplace_back();
    death.held = describe_hold(map, facts, entry);
    death.held.mutex = nullptr;
    death.held.held = true;
    death.owner = facts.thread;
    death.repairing = words.state.condition() == lock_condition::repairing;
  });
  // A claim since: then the entries were another thread's.
  if (!life.is_same()) to.resize(before);
}

std::optional<viewed_participant> view_participant(const mapping& map, std::uint32_t index) {
  const participant& process = map.participant_at(index);
  const std::uint64_t identity = process.identity.load(std::memory_order_acquire);
  if (identity == 0) return std::nullopt;
  viewed_participant seen;
  seen.index = index;
  seen.pid = static_cast<pid_t>(identity >> 32);
  seen.start_time = __atomic_load_n(&process.start_time, __ATOMIC_RELAXED);
  short_name command;
  load_shared_name(command, process.command);
  seen.modules =
      std::min<std::uint32_t>(process.module_count.load(std::memory_order_acquire), max_modules);
  seen.modules_cut = __atomic_load_n(&process.modules_cut, __ATOMIC_RELAXED) != 0;
  seen.command_name = text_of(command);
  seen.alive = participants::is_alive(identity);
  // A process that died before it had described itself leaves its predecessor's description.
  if ((seen.start_time & 0xffffffff) != (identity & 0xffffffff)) {
    seen.start_time = identity & 0xffffffff;
    seen.command_name = "unknown";
  }
  return seen;
}

}  // namespace outlive::detail
