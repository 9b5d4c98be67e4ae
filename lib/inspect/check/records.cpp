// Participants, thread records, their marks and crash notes.
#include <algorithm>
#include <cstring>
#include <iterator>

#include "inspect/check/problems.hpp"
#include "records/held_entries.hpp"
#include "records/marks.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"
#include "sys/hex.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

constexpr std::size_t build_id_bytes = sizeof(module_entry::build_id);

void check_modules(problem_list& found, const participant& process, std::uint32_t string_bytes,
                   const std::string& object) {
  const std::uint32_t count = process.module_count.load(std::memory_order_acquire);
  found.at_most(count, max_modules, object, "modules");
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(count, max_modules); ++i) {
    const module_entry& module = process.modules[i];
    const std::string name = object + ", module " + std::to_string(i);
    if (module.begin >= module.end)
      found.add(name, "addresses " + hex(module.begin) + " to " + hex(module.end), "a range");
    if (module.path >= string_bytes ||
        !is_terminated(process.strings + module.path, string_bytes - module.path)) {
      found.add(name, "a path at " + std::to_string(module.path),
                "one within the " + std::to_string(string_bytes) + " bytes of strings");
    }
    found.at_most(module.build_id_size, build_id_bytes, name, "bytes of build id");
    found.zero(&module.reserved, sizeof module.reserved, name, "reserved byte");
  }
}

void check_participant(problem_list& found, const mapping& map, std::uint32_t index) {
  const participant& process = map.participant_at(index);
  const std::uint64_t identity = process.identity.load(std::memory_order_acquire);
  const std::string object = "participant " + std::to_string(index);
  found.zero(process.reserved, sizeof process.reserved, object, "reserved bytes");
  found.at_most(process.modules_cut, 1, object, "mark of more modules");
  found.at_most(process.string_bytes, sizeof process.strings, object, "bytes of strings");
  if (!is_terminated(process.command, sizeof process.command))
    found.add(object, "a command's name without an end", "at most 15 bytes");
  if (identity == 0) {
    if (process.module_count.load(std::memory_order_relaxed) != 0)
      found.add(object, "modules, and no process", "none in a slot that was never taken");
    return;
  }
  const std::uint64_t pid = identity >> 32;
  if (pid == 0 || pid > 0x3fffffff) found.add(object, "pid " + std::to_string(pid), "a process's");
  check_modules(found, process,
                std::min<std::uint32_t>(process.string_bytes, sizeof process.strings), object);
  // A process that died before it had described itself leaves the former one's description.
  if (!participants::is_alive(identity)) return;
  if ((process.start_time & 0xffffffff) != (identity & 0xffffffff)) {
    found.add(object, "start time " + std::to_string(process.start_time),
              "that of its identity, " + std::to_string(identity & 0xffffffff));
  }
  if (process.pid_namespace != map.constants().pid_namespace) {
    found.add(object, "PID namespace " + std::to_string(process.pid_namespace),
              "the segment's, " + std::to_string(map.constants().pid_namespace));
  }
}

void check_held(problem_list& found, const mapping& map, std::uint32_t index, bool alive,
                const std::string& object) {
  held_entries(map, index).for_each_upwards([&](const seen_entry& entry) {
    const std::uint64_t offset = entry.offset();
    const std::string name = object + ", entry " + std::to_string(entry.index);
    const bool is_place = (entry.place & ~held_offset_mask & ~held_recovered) == 0 &&
                          offset >= map.layout().objects && offset <= map.size() - cache_line;
    if (!is_place) {
      found.add(name, hex(entry.place), "a mutex's place among the objects");
    } else if (alive && map.lock_at(offset).lock == nullptr &&
               map.held(index)[entry.index].place.load(std::memory_order_acquire) == entry.place) {
      found.add(name, hex(entry.place) + ", where no mutex lies",
                "a mutex, which the thread has in hand");
    }
  });
}

void check_living(problem_list& found, const mapping& map, const thread_record& record,
                  const std::string& object) {
  const auto pid = static_cast<pid_t>(record.pid.load(std::memory_order_relaxed));
  const std::uint32_t process = record.participant.load(std::memory_order_relaxed);
  if (!participants::is_process_of(map, process, pid,
                                   record.start_time.load(std::memory_order_relaxed))) {
    found.add(object, "participant " + std::to_string(process),
              "the one of its process, pid " + std::to_string(pid));
  }
}

// The words of the crash note count only for the life that it names.
void check_crash(problem_list& found, const mapping& map, std::uint32_t index,
                 std::uint64_t generation) {
  const crash_note& note = map.crash_at(index);
  const std::string object = "crash note " + std::to_string(index);
  found.zero(note.reserved, sizeof note.reserved, object, "reserved bytes");
  const std::uint64_t life = note.life.load(std::memory_order_acquire);
  if (life == 0) return;
  found.at_most(life, generation, object, "life");
  if (life != generation) return;
  const std::uint32_t signal = note.signal.load(std::memory_order_relaxed);
  if (signal == 0 || signal > 64) found.add(object, "signal " + std::to_string(signal), "1 to 64");
  found.at_most(note.count.load(std::memory_order_relaxed), crash_frames, object, "frames");
  found.at_most(note.nested.load(std::memory_order_relaxed), 1, object, "mark of a nested signal");
}

bool is_alive(const thread_record& record) noexcept {
  const std::uint32_t bearer = native_mutex::word(record.liveness) & native_mutex::tid_mask;
  return bearer != 0 && bearer == record.tid.load(std::memory_order_acquire) &&
         !thread_records::is_dead(record);
}

bool has_marks(const mapping& map, std::uint32_t index) noexcept {
  const auto has = [](const mark_line& line) {
    return std::any_of(std::begin(line.at), std::end(line.at), [](const shared_u32& mark) {
      return mark.load(std::memory_order_acquire) != 0;
    });
  };
  return has(map.mark_slots_of(index)) || has(map.spilled_marks_of(index));
}

// A claimer is counted last, so that a record which is not counted may have an identity, of one
// that is about to be counted or died before. It has acquired nothing then.
void check_counted(problem_list& found, const mapping& map, std::uint32_t index,
                   const std::string& object) {
  const std::uint64_t acquisitions = map.record(index).acquisitions.load(std::memory_order_acquire);
  if (acquisitions == 0 && !has_marks(map, index)) return;
  // The count only grows: read it after what makes it necessary.
  const std::uint32_t in_use = records_in_use(map);
  if (index < in_use) return;
  found.add(object,
            acquisitions != 0 ? std::to_string(acquisitions) + " acquisitions"
                              : std::string("marks of a reader"),
            "none: the header counts " + std::to_string(in_use) + " records in use");
}

// One mark: an id of a mutex, or 0. A dead reader's stays, and its mutex may be gone. Any state of
// mark_spilled is right: a death leaves the bit without its mark, or the mark without its bit.
void check_mark(problem_list& found, const mapping& map, const shared_u32& mark, bool alive,
                const std::string& name) {
  const std::uint32_t stored = mark.load(std::memory_order_acquire);
  const std::uint64_t offset = std::uint64_t{stored & ~mark_spilled} * cache_line;
  if (offset == 0) return;
  if (offset < map.layout().objects || offset > map.size() - cache_line)
    return found.add(name, hex(stored), "a mutex's place among the objects, in lines");
  if (!alive || map.lock_at(offset).shared || mark.load(std::memory_order_acquire) != stored)
    return;
  found.add(name, hex(stored) + ", where no shared mutex lies", "one that the thread holds shared");
}

void check_marks(problem_list& found, const mapping& map, std::uint32_t index) {
  const bool alive = is_alive(map.record(index));
  const std::string object = "marks of thread record " + std::to_string(index);
  const mark_line& slots = map.mark_slots_of(index);
  const mark_line& spilled = map.spilled_marks_of(index);
  for (std::uint32_t i = 0; i < mark_slots; ++i) {
    const std::string number = std::to_string(i);
    check_mark(found, map, slots.at[i], alive, object + ", slot " + number);
    const std::uint32_t id = slots.at[i].load(std::memory_order_relaxed) & ~mark_spilled;
    if (id != 0 && id % mark_slots != i) {
      found.add(object + ", slot " + number, hex(id),
                "an id whose slot is " + std::to_string(id % mark_slots));
    }
    check_mark(found, map, spilled.at[i], alive, object + ", spilled mark " + number);
    if ((spilled.at[i].load(std::memory_order_relaxed) & mark_spilled) != 0)
      found.add(object + ", spilled mark " + number, "the bit of a slot", "an id alone");
  }
}

void check_record(problem_list& found, const mapping& map, std::uint32_t index) {
  const thread_record& record = map.record(index);
  const std::string object = "thread record " + std::to_string(index);
  if (!native_mutex::is_intact(record.liveness))
    found.add(object, "a liveness mutex of another kind", "the one that create() made");
  const std::uint64_t generation = record.generation.load(std::memory_order_acquire);
  if (generation >> 48 != 0) found.add(object, "generation " + hex(generation), "at most 48 bits");
  if (!is_terminated(record.name, sizeof record.name))
    found.add(object, "a name without an end", "at most 15 bytes");
  found.at_most(record.participant.load(std::memory_order_relaxed),
                map.constants().participants - 1, object, "participant");
  const bool alive = is_alive(record);
  check_counted(found, map, index, object);
  if (alive) check_living(found, map, record, object);
  check_held(found, map, index, alive, object);
  check_crash(found, map, index, generation);
}

}  // namespace

void check_participants(problem_list& found, const mapping& map) {
  for (std::uint32_t i = 0; i < map.constants().participants; ++i) check_participant(found, map, i);
}

void check_records(problem_list& found, const mapping& map) {
  for (std::uint32_t i = 0; i < map.record_count(); ++i) {
    check_record(found, map, i);
    check_marks(found, map, i);
  }
}

}  // namespace outlive::detail
