#include "repair/report.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "directory/directory.hpp"
#include "directory/lock_class.hpp"
#include "format/lock_state.hpp"
#include "format/shared_copy.hpp"
#include "records/crash_note.hpp"
#include "records/held_entries.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

// No index of a participant: the process and its modules are unknown.
constexpr std::uint32_t no_participant = 0xffffffff;

const char* known_or_unknown(const short_name& name) noexcept {
  return name[0] == 0 ? "unknown" : name.data();
}

bool holds(const thread_facts& by, const lock_bytes& lock) noexcept {
  const lock_state state(lock.state.load(std::memory_order_acquire));
  const std::uint32_t owner = native_mutex::word(lock.native) & native_mutex::tid_mask;
  return state.holder() == holder_id(by.record, by.generation) ||
         (owner != 0 && owner == static_cast<std::uint32_t>(by.thread.tid));
}

void gather_held(death_facts& facts, const mapping& map, std::uint32_t index,
                 std::uint64_t own_offset) noexcept {
  held_entries(map, index).for_each_upwards([&](const seen_entry& entry) {
    if (entry.offset() == own_offset) {
      facts.acquired_at = locate(map, facts.owner.participant, entry.return_address);
      return;
    }
    if (map.lock_at(entry.offset()).lock == nullptr) return;
    facts.held_cut = facts.held_count == owner_death::max_reported;
    if (!facts.held_cut) facts.held[facts.held_count++] = entry;
  });
}

}  // namespace

bool describe_thread(thread_facts& into, const mapping& map, record_id id,
                     std::uint32_t generation_mask) noexcept {
  if (!id || id.index_plus_1 > map.record_count()) return false;
  const std::uint32_t index = id.index_plus_1 - 1;
  const thread_records::life now(map.record(index));
  return (static_cast<std::uint32_t>(now.generation()) & generation_mask) == id.generation &&
         describe_thread(into, map, index, now.generation());
}

bool describe_thread(thread_facts& into, const mapping& map, std::uint32_t index,
                     std::uint64_t generation) noexcept {
  const thread_records::record_snapshot record(map.record(index));
  if (record.generation() != generation) return false;
  into.thread.pid = record.pid;
  into.thread.tid = record.tid;
  into.thread.start_time = record.start_time;
  into.thread.note = record.note;
  into.name = record.name;
  into.participant = record.participant;
  if (into.participant < map.constants().participants)
    load_shared_name(into.command, map.participant_at(into.participant).command);
  if (!participants::is_process_of(map, into.participant, into.thread.pid,
                                   into.thread.start_time)) {
    into.command = {};
    into.participant = no_participant;
  }
  if (!record.is_same()) {
    into = {};
    return false;
  }
  into.thread.known = true;
  into.thread.thread_name = known_or_unknown(into.name);
  into.thread.command_name = known_or_unknown(into.command);
  into.record = index;
  into.generation = generation;
  return true;
}

bool describe_crash(owner_crash& into, const mapping& map, std::uint32_t index,
                    std::uint32_t participant_index) noexcept {
  static_assert(owner_crash::max_frames == crash_frames);
  const auto note = read_crash_note(map, index);
  if (!note) return false;
  into.signal = note->signal;
  into.code = note->code;
  into.address = note->address;
  into.nested = note->nested;
  into.frame_count = note->count;
  for (std::size_t i = 0; i < note->count; ++i)
    into.frames[i] = locate(map, participant_index, note->frames[i]);
  return true;
}

std::string mutex_name_at(const mapping& map, std::uint64_t offset) {
  blocks::name_copy copy;  // another thread may destroy the object meanwhile
  const std::string_view name = directory::copy_name_of(map, offset, copy);
  return name.empty() ? "unknown" : std::string(name);
}

held_lock describe_hold(const mapping& map, const thread_facts& by, const seen_entry& entry) {
  const auto [lock, native, shared] = map.lock_at(entry.offset());
  held_lock made;
  made.mutex = reinterpret_cast<const robust_mutex*>(map.base() + entry.offset());
  made.mutex_offset = entry.offset();
  made.mutex_name = mutex_name_at(map, entry.offset());
  if (lock != nullptr) made.lock_class = lock_class_name(map, *lock);
  made.held = native && holds(by, *lock);
  made.acquired_at = to_frame(locate(map, by.participant, entry.return_address));
  return made;
}

held_lock describe_hold(const mapping& map, const thread_facts& by, std::uint64_t offset) {
  seen_entry of{0, offset, 0};
  if (by.thread.known) {
    held_entries(map, by.record).for_each([&](const seen_entry& entry) {
      if (entry.offset() == offset) of = entry;
    });
  }
  return describe_hold(map, by, of);
}

stack_frame to_frame(const code_location& place) {
  stack_frame frame;
  frame.address = place.address;
  if (place.module == "unknown") return frame;
  frame.offset = place.offset;
  frame.module = place.module;
  frame.build_id = place.build_id;
  return frame;
}

code_location locate(const mapping& map, std::uint32_t participant_index,
                     std::uint64_t address) noexcept {
  code_location place;
  place.address = place.offset = address;
  if (participant_index >= map.constants().participants || address == 0) return place;
  const participant& process = map.participant_at(participant_index);
  const std::uint32_t count =
      std::min<std::uint32_t>(process.module_count.load(std::memory_order_acquire), max_modules);
  for (std::uint32_t i = 0; i < count; ++i) {
    const module_entry& module = process.modules[i];
    if (address < module.begin || address >= module.end || module.path >= sizeof process.strings)
      continue;
    const char* const path = process.strings + module.path;
    place.offset = address - module.base;
    place.module = {path, strnlen(path, sizeof process.strings - module.path)};
    place.build_id = {module.build_id,
                      std::min<std::size_t>(module.build_id_size, sizeof module.build_id)};
    return place;
  }
  return place;
}

void gather(death_facts& facts, const mapping& map, const lock_bytes& lock, record_id owner,
            std::uint32_t owner_mask, record_id former_heir) noexcept {
  facts.map = &map;
  facts.lock = &lock;
  facts.has_former_heir = bool{former_heir};
  describe_thread(facts.former_heir, map, former_heir, holder_generation_mask);
  if (describe_thread(facts.owner, map, owner, owner_mask)) {
    gather_held(facts, map, owner.index_plus_1 - 1, map.offset_of(&lock));
    facts.has_crash =
        describe_crash(facts.crash, map, owner.index_plus_1 - 1, facts.owner.participant);
  }
}

}  // namespace outlive::detail
