// Header and names.
#include <atomic>
#include <cstring>

#include "directory/names.hpp"
#include "format/hash.hpp"
#include "inspect/check/problems.hpp"
#include "sys/hex.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

void check_internal(problem_list& found, const internal_lock& lock, const char* name) {
  if (native_mutex::is_intact(lock.native)) return;
  found.add(std::string("header, mutex of the ") + name, "a mutex of another kind",
            "the one that create() made");
}

void check_count(problem_list& found, const shared_u32& word, std::uint32_t most,
                 const char* what) {
  const std::uint32_t stored = word.load(std::memory_order_acquire);
  if (!is_guarded_count(stored))
    return found.add("header", std::string("count of ") + what + ' ' + hex(stored),
                     "a number, and its complement above it");
  found.at_most(stored & 0xffff, most, "header", what);
}

std::string name_at(std::uint32_t index) {
  return "name " + std::to_string(index);
}

void check_text(problem_list& found, const name_entry& entry, std::uint32_t index) {
  const std::size_t most = entry.kind == static_cast<std::uint16_t>(name_kind::lock_class)
                               ? max_class_bytes
                               : max_type_bytes;
  if (entry.length == 0 || entry.length > most) {
    return found.add(name_at(index), "a length of " + std::to_string(entry.length),
                     "1 to " + std::to_string(most));
  }
  const std::uint64_t checksum = names::name_checksum(entry);
  if (entry.checksum != checksum)
    return found.add(name_at(index), "checksum " + hex(entry.checksum), hex(checksum));
  if (entry.kind == static_cast<std::uint16_t>(name_kind::lock_class) &&
      entry.hash != hash_text({entry.text, entry.length})) {
    found.add(name_at(index), "hash " + hex(entry.hash),
              hex(hash_text({entry.text, entry.length})));
  }
}

void check_guards(problem_list& found, const name_entry& entry, std::uint32_t index) {
  const std::uint64_t guards = entry.guards.load(std::memory_order_acquire);
  if (guards == 0) return;
  const bool is_class = entry.kind == static_cast<std::uint16_t>(name_kind::lock_class);
  const bool is_bare = guards == guards_nothing;
  if ((!is_class && is_bare) || (!is_bare && (guards & guards_a_type) == 0)) {
    return found.add(
        name_at(index), "guards " + hex(guards),
        is_class ? "0, that it guards nothing, or a hash of a type" : "0, or a hash of a type");
  }
  if (is_bare && entry.value_offset != 0)
    found.add(name_at(index), "a value at " + hex(entry.value_offset),
              "0, as its mutexes guard nothing");
}

}  // namespace

void check_header(problem_list& found, const mapping& map) {
  const segment_header& header = map.header();
  if (std::memcmp(&header.constants, &map.constants(), sizeof header.constants) != 0) {
    found.add("header", "other constants than when it was opened", "that they never change");
  }
  check_internal(found, header.adoption, "adoption");
  check_internal(found, header.directory, "directory");
  check_internal(found, header.names, "names");
  check_count(found, header.records_in_use, map.record_count(), "thread records in use");
  found.zero(header.reserved, sizeof header.reserved, "header", "reserved bytes");
  if (header.unlisted.load(std::memory_order_relaxed) > max_entrants * 1024) {
    found.add("header",
              "entrants without a place: " +
                  std::to_string(header.unlisted.load(std::memory_order_relaxed)),
              "few");
  }
  const std::size_t used = offsetof(segment_header, entrants) + sizeof header.entrants;
  found.zero(map.base() + used, sizeof header - used, "header", "padding");

  check_count(found, header.name_count, map.constants().lock_classes, "names");
}

void check_names(problem_list& found, const mapping& map) {
  const std::uint32_t count = count_of_names(map);
  for (std::uint32_t i = 0; i < count; ++i) {
    const name_entry& entry = map.name_at(i);
    if (entry.kind != static_cast<std::uint16_t>(name_kind::lock_class) &&
        entry.kind != static_cast<std::uint16_t>(name_kind::object_type)) {
      found.add(name_at(i), "kind " + std::to_string(entry.kind), "1 or 2");
      continue;
    }
    check_text(found, entry, i);
    check_guards(found, entry, i);
  }
}

std::uint32_t count_of_names(const mapping& map) noexcept {
  const std::uint32_t stored = map.header().name_count.load(std::memory_order_acquire);
  const std::uint32_t count = stored & 0xffff;
  return is_guarded_count(stored) && count <= map.constants().lock_classes ? count : 0;
}

bool is_name(const mapping& map, std::uint32_t index, name_kind kind) noexcept {
  return index < count_of_names(map) && map.name_at(index).kind == static_cast<std::uint16_t>(kind);
}

}  // namespace outlive::detail
