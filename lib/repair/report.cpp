#include "repair/report.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "format/shared_copy.hpp"
#include "records/crash_note.hpp"
#include "records/held_entries.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"

namespace outlive::detail {

namespace {

// No index of a participant: what a process had told is unknown, its modules too.
constexpr std::uint32_t no_participant = 0xffffffff;

std::string_view known_or_unknown(const short_name& name) noexcept {
  return name[0] == 0 ? std::string_view("unknown") : std::string_view(name.data());
}

void gather_held(death_facts& facts, const mapping& map, std::uint32_t index,
                 std::uint64_t own_offset) noexcept {
  held_entries(map, index).for_each_upwards([&](const seen_entry& entry) {
    const code_location acquired = locate(map, facts.owner.participant, entry.return_address);
    if (entry.offset() == own_offset) {
      facts.acquired_at = acquired;
      return;
    }
    const lock_bytes* const lock = map.lock_at(entry.offset()).lock;
    if (lock == nullptr) return;
    facts.held_cut = facts.held_count == owner_death::max_reported;
    if (!facts.held_cut)
      facts.held[facts.held_count++] = {reinterpret_cast<const robust_mutex*>(lock), acquired};
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
  for (thread_facts* each : {&facts.owner, &facts.former_heir}) {
    each->thread.thread_name = known_or_unknown(each->name);
    each->thread.command_name = known_or_unknown(each->command);
  }
}

}  // namespace outlive::detail
