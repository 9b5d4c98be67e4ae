#include "fuzz/fields.hpp"

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "fuzz/numbered.hpp"

namespace outlive::fuzz {

using namespace detail;

field_table::field_table(const scene& of) : scene_(of), total_(of.layout().total) {
  add_header();
  add_participants();
  add_records();
  add_marks();
  add_crash_notes();
  add_names();
  add_deaths();
  add_index();
  add_blocks();
}

field field_table::find(const std::string& name) const {
  if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
  std::size_t end = 0;
  if (name.size() > 1 && name[0] == '@') {
    const std::uint64_t offset = std::stoull(name.substr(1), &end, 0);
    const std::uint64_t size =
        name.size() > end + 2 ? std::stoull(name.substr(end + 2), nullptr, 0) : 0;
    if (size > 0 && offset < total_ && size <= total_ - offset)
      return {name, offset, static_cast<std::uint32_t>(size)};
  }
  throw std::invalid_argument("scene " + scene_.name() + ": found no field " + name +
                              ", expected one of --fields or @OFFSET:SIZE");
}

std::optional<std::uint64_t> field_table::offset_of(const std::string& name) const {
  if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second.offset;
  return std::nullopt;
}

void field_table::add(std::string name, std::uint64_t offset, std::size_t size) {
  const field made{std::move(name), offset, static_cast<std::uint32_t>(size)};
  groups_.back().push_back(made);
  by_name_.emplace(made.name, made);
}

// As glibc has it on 64-bit machines.
void field_table::add_native(const std::string& name, std::uint64_t offset) {
  add(name + ".word", offset, 4);
  add(name + ".count", offset + 4, 4);
  add(name + ".owner", offset + 8, 4);
  add(name + ".users", offset + 12, 4);
  add(name + ".kind", offset + 16, 4);
  add(name + ".kind_byte", offset + 16, 1);
  add(name + ".spins", offset + 20, 4);
  add(name + ".previous", offset + 24, 8);
  add(name + ".next", offset + 32, 8);
}

void field_table::add_internal_lock(const std::string& name, std::uint64_t offset) {
  add_native(name, offset);
  FUZZ_FIELD(name, offset, internal_lock, owner_start_time);
  FUZZ_FIELD(name, offset, internal_lock, reserved);
  FUZZ_FIELD(name, offset, internal_lock, owner_tid);
  add(name, offset, sizeof(internal_lock));
}

void field_table::add_header() {
  const std::string constants = "header";
  begin_group();
  FUZZ_FIELD(constants, 0, segment_constants, magic);
  FUZZ_FIELD(constants, 0, segment_constants, version);
  FUZZ_FIELD(constants, 0, segment_constants, features);
  FUZZ_FIELD(constants, 0, segment_constants, abi);
  FUZZ_FIELD(constants, 0, segment_constants, total_size);
  FUZZ_FIELD(constants, 0, segment_constants, object_bytes);
  FUZZ_FIELD(constants, 0, segment_constants, pid_namespace);
  FUZZ_FIELD(constants, 0, segment_constants, boot_id);
  FUZZ_FIELD(constants, 0, segment_constants, directory_capacity);
  FUZZ_FIELD(constants, 0, segment_constants, threads);
  FUZZ_FIELD(constants, 0, segment_constants, participants);
  FUZZ_FIELD(constants, 0, segment_constants, max_held);
  FUZZ_FIELD(constants, 0, segment_constants, attempts);
  FUZZ_FIELD(constants, 0, segment_constants, lock_classes);
  FUZZ_FIELD(constants, 0, segment_constants, mode);
  FUZZ_FIELD(constants, 0, segment_constants, time_namespace);
  FUZZ_FIELD(constants, 0, segment_constants, inode);
  FUZZ_FIELD(constants, 0, segment_constants, name);
  FUZZ_FIELD(constants, 0, segment_constants, checksum);
  begin_group();
  add_internal_lock("adoption", offsetof(segment_header, adoption));
  add_internal_lock("directory", offsetof(segment_header, directory));
  add_internal_lock("names", offsetof(segment_header, names));
  begin_group();
  FUZZ_FIELD(constants, 0, segment_header, records_in_use);
  FUZZ_FIELD(constants, 0, segment_header, name_count);
  FUZZ_FIELD(constants, 0, segment_header, deaths);
  FUZZ_FIELD(constants, 0, segment_header, owner_deaths);
  add("internal_acquisitions", offsetof(segment_header, internal_acquisitions),
      sizeof(segment_header::internal_acquisitions));
  FUZZ_FIELD(constants, 0, segment_header, rescuer);
  FUZZ_FIELD(constants, 0, segment_header, unlisted);
  for (std::size_t i = 0; i < max_entrants; ++i)
    add(numbered("entrant", i), offsetof(segment_header, entrants) + i * 8, 8);
  const std::uint64_t counts = offsetof(segment_header, directory_counts);
  const std::string directory = "counts";
  FUZZ_FIELD(directory, counts, directory_state, end);
  FUZZ_FIELD(directory, counts, directory_state, live);
  FUZZ_FIELD(directory, counts, directory_state, stale);
  for (std::size_t i = 0; i < free_lists; ++i)
    add(numbered("freed", i), counts + offsetof(directory_state, freed) + i * 4, 4);
}

void field_table::add_participants() {
  begin_group();
  for (std::uint64_t i = 0; i < scene_.constants().participants; ++i) {
    const std::string name = numbered("participant", i);
    const std::uint64_t at = scene_.layout().participants + i * sizeof(participant);
    FUZZ_FIELD(name, at, participant, identity);
    FUZZ_FIELD(name, at, participant, start_time);
    FUZZ_FIELD(name, at, participant, pid_namespace);
    FUZZ_FIELD(name, at, participant, module_count);
    FUZZ_FIELD(name, at, participant, modules_cut);
    FUZZ_FIELD(name, at, participant, command);
    FUZZ_FIELD(name, at, participant, string_bytes);
    for (std::uint64_t m = 0; m < 3; ++m) {
      const std::string module = name + "." + numbered("module", m);
      const std::uint64_t entry = at + offsetof(participant, modules) + m * sizeof(module_entry);
      FUZZ_FIELD(module, entry, module_entry, base);
      FUZZ_FIELD(module, entry, module_entry, begin);
      FUZZ_FIELD(module, entry, module_entry, end);
      FUZZ_FIELD(module, entry, module_entry, path);
      FUZZ_FIELD(module, entry, module_entry, build_id_size);
      FUZZ_FIELD(module, entry, module_entry, build_id);
    }
    FUZZ_FIELD(name, at, participant, strings);
    add(name, at, sizeof(participant));
  }
}

void field_table::add_records() {
  const region_layout& at = scene_.layout();
  begin_group();
  for (std::uint64_t i = 0; i < at.record_count; ++i) {
    const std::string name = numbered("record", i);
    const std::uint64_t place = at.records + i * at.record_stride;
    add_native(name + ".liveness", place);
    FUZZ_FIELD(name, place, thread_record, generation);
    FUZZ_FIELD(name, place, thread_record, tid);
    FUZZ_FIELD(name, place, thread_record, pid);
    FUZZ_FIELD(name, place, thread_record, start_time);
    FUZZ_FIELD(name, place, thread_record, name);
    FUZZ_FIELD(name, place, thread_record, participant);
    FUZZ_FIELD(name, place, thread_record, sleeps_for);
    FUZZ_FIELD(name, place, thread_record, acquisitions);
    FUZZ_FIELD(name, place, thread_record, waits);
    FUZZ_FIELD(name, place, thread_record, note);
    FUZZ_FIELD(name, place, thread_record, handed);
    for (std::uint64_t h = 0; h < held_places(scene_.constants()); ++h) {
      const std::string held = name + "." + numbered("held", h);
      const std::uint64_t entry = place + sizeof(thread_record) + h * sizeof(held_entry);
      FUZZ_FIELD(held, entry, held_entry, place);
      FUZZ_FIELD(held, entry, held_entry, return_address);
    }
    add(name, place, at.record_stride);
  }
}

void field_table::add_marks() {
  const region_layout& at = scene_.layout();
  begin_group();
  for (std::uint64_t i = 0; i < 2 * at.record_count; ++i) {
    const bool spilled = i >= at.record_count;
    const std::string line =
        numbered(spilled ? "spilled" : "marks", spilled ? i - at.record_count : i);
    const std::uint64_t place = at.marks + i * sizeof(mark_line);
    for (std::uint64_t slot = 0; slot < mark_slots; ++slot)
      add(line + "." + numbered("at", slot), place + slot * 4, 4);
    add(line, place, sizeof(mark_line));
  }
}

void field_table::add_crash_notes() {
  begin_group();
  for (std::uint64_t i = 0; i < scene_.layout().record_count; ++i) {
    const std::string name = numbered("crash", i);
    const std::uint64_t at = scene_.layout().crashes + i * sizeof(crash_note);
    FUZZ_FIELD(name, at, crash_note, life);
    FUZZ_FIELD(name, at, crash_note, acquisitions);
    FUZZ_FIELD(name, at, crash_note, address);
    FUZZ_FIELD(name, at, crash_note, signal);
    FUZZ_FIELD(name, at, crash_note, code);
    FUZZ_FIELD(name, at, crash_note, nested);
    FUZZ_FIELD(name, at, crash_note, count);
    for (std::uint64_t f = 0; f < 3; ++f)
      add(name + "." + numbered("frame", f), at + offsetof(crash_note, frames) + f * 8, 8);
    add(name, at, sizeof(crash_note));
  }
}

void field_table::add_names() {
  begin_group();
  for (std::uint64_t i = 0; i < scene_.constants().lock_classes; ++i) {
    const std::string name = numbered("name", i);
    const std::uint64_t at = scene_.layout().names + i * sizeof(name_entry);
    FUZZ_FIELD(name, at, name_entry, hash);
    FUZZ_FIELD(name, at, name_entry, guards);
    FUZZ_FIELD(name, at, name_entry, value_size);
    FUZZ_FIELD(name, at, name_entry, value_offset);
    FUZZ_FIELD(name, at, name_entry, version);
    FUZZ_FIELD(name, at, name_entry, alignment);
    FUZZ_FIELD(name, at, name_entry, length);
    FUZZ_FIELD(name, at, name_entry, kind);
    FUZZ_FIELD(name, at, name_entry, text);
    FUZZ_FIELD(name, at, name_entry, checksum);
    add(name, at, sizeof(name_entry));
  }
}

void field_table::add_deaths() {
  begin_group();
  for (std::uint64_t i = 0; i < 12; ++i) {
    const std::string name = numbered("death", i);
    const std::uint64_t at = scene_.layout().deaths + i * sizeof(death_entry);
    FUZZ_FIELD(name, at, death_entry, number);
    FUZZ_FIELD(name, at, death_entry, result);
    FUZZ_FIELD(name, at, death_entry, death.when_ns);
    FUZZ_FIELD(name, at, death_entry, death.lock_offset);
    FUZZ_FIELD(name, at, death_entry, death.lock_class);
    FUZZ_FIELD(name, at, death_entry, death.attempt);
    FUZZ_FIELD(name, at, death_entry, death.module_offset);
    FUZZ_FIELD(name, at, death_entry, death.module);
    FUZZ_FIELD(name, at, death_entry, death.owner.pid);
    FUZZ_FIELD(name, at, death_entry, death.owner.tid);
    FUZZ_FIELD(name, at, death_entry, death.owner.known);
    FUZZ_FIELD(name, at, death_entry, death.owner.name);
    FUZZ_FIELD(name, at, death_entry, death.owner.command);
    FUZZ_FIELD(name, at, death_entry, death.heir.known);
    FUZZ_FIELD(name, at, death_entry, death.heir.name);
    FUZZ_FIELD(name, at, death_entry, crash.signal);
    FUZZ_FIELD(name, at, death_entry, crash.nested);
    FUZZ_FIELD(name, at, death_entry, crash.count);
    const std::uint64_t crash = at + offsetof(death_entry, crash);
    for (std::uint64_t f = 0; f < 3; ++f) {
      add(name + "." + numbered("frame", f), crash + offsetof(logged_crash_bytes, frames) + f * 8,
          8);
      const std::string module = name + "." + numbered("module", f);
      const std::uint64_t entry =
          crash + offsetof(logged_crash_bytes, modules) + f * sizeof(logged_module_bytes);
      FUZZ_FIELD(module, entry, logged_module_bytes, path);
      FUZZ_FIELD(module, entry, logged_module_bytes, build_id_size);
    }
    add(name, at, sizeof(death_entry));
  }
}

void field_table::add_index() {
  begin_group();
  for (std::uint64_t i = 0; i < scene_.layout().index_slots; ++i) {
    add(numbered("slot", i), scene_.layout().index + i * sizeof(index_slot), sizeof(index_slot));
  }
}

}  // namespace outlive::fuzz
