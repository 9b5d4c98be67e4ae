#include "directory/names.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "directory/internal_guard.hpp"
#include "error/failure.hpp"
#include "format/hash.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/symbols.hpp"

namespace outlive::detail::names {

namespace {

bool is_sound(const name_entry& entry) noexcept {
  return entry.checksum == name_checksum(entry) && entry.length < sizeof entry.text;
}

std::optional<std::uint32_t> believable_count(const mapping& map) noexcept {
  const std::uint32_t stored = map.header().name_count.load(std::memory_order_acquire);
  const std::uint32_t count = stored & 0xffff;
  if (!is_guarded_count(stored) || count > map.constants().lock_classes) return std::nullopt;
  return count;
}

std::uint32_t count_of(const mapping& map) {
  if (const auto count = believable_count(map)) return *count;
  fail(errc::damaged, map.describe() + ": found " +
                          std::to_string(map.header().name_count.load(std::memory_order_relaxed)) +
                          " as the count of its names, expected a number and its complement");
}

// Never beyond the entry, whatever its length field says.
std::string_view text_in(const name_entry& entry) noexcept {
  return {entry.text, std::min<std::size_t>(entry.length, sizeof entry.text)};
}

const name_entry* sound_entry(const mapping& map, std::uint32_t index) noexcept {
  const auto count = believable_count(map);
  return count && index < *count && is_sound(map.name_at(index)) ? &map.name_at(index) : nullptr;
}

std::optional<std::uint32_t> find(const mapping& map, std::string_view text, std::uint64_t hash,
                                  name_kind kind) {
  const std::string_view kept = text.substr(0, max_type_bytes);
  const std::uint32_t count = count_of(map);
  for (std::uint32_t i = 0; i < count; ++i) {
    const name_entry& entry = map.name_at(i);
    if (entry.hash == hash && entry.kind == static_cast<std::uint16_t>(kind) &&
        text_in(entry) == kept)
      return i;
  }
  // A damaged entry must not make its name appear twice.
  for (std::uint32_t i = 0; i < count; ++i) {
    const name_entry& entry = map.name_at(i);
    if ((entry.hash == hash || text_in(entry) == kept) && !is_sound(entry)) {
      fail(errc::damaged, map.describe() + ": found entry " + std::to_string(i) +
                              " of its names overwritten, expected \"" + std::string(kept) + '"');
    }
  }
  return std::nullopt;
}

// Contents of a new entry. bind_class() adds a class's value later.
struct new_name {
  std::string_view text;
  std::uint64_t hash;
  name_kind kind;
  std::uint64_t guards;
  value_facts value;
};

void fill(name_entry& entry, const new_name& name) noexcept {
  entry.hash = name.hash;
  entry.guards.store(name.guards, std::memory_order_relaxed);
  entry.value_size = name.value.size;
  entry.value_offset = name.value.guarded_at;
  entry.version = name.value.version;
  entry.alignment = static_cast<std::uint32_t>(name.value.alignment);
  entry.kind = static_cast<std::uint16_t>(name.kind);
  entry.length = static_cast<std::uint16_t>(std::min(name.text.size(), max_type_bytes));
  std::memset(entry.text, 0, sizeof entry.text);
  std::memcpy(entry.text, name.text.data(), entry.length);
  entry.checksum = name_checksum(entry);
}

std::uint32_t intern(mapping& map, const new_name& name) {
  if (const auto known = find(map, name.text, name.hash, name.kind)) return *known;
  // A holder that died here left an entry that does not count, or a complete one that does: nothing
  // to repair.
  const internal_guard hold(map, map.header().names, "names");
  if (const auto known = find(map, name.text, name.hash, name.kind)) return *known;
  const std::uint32_t index = count_of(map);
  if (index == map.constants().lock_classes) {
    fail(errc::no_space, map.describe() + ": found all " + std::to_string(index) +
                             " names in use, expected room for \"" + std::string(name.text) +
                             "\" (segment_options::lock_classes)");
  }
  fill(map.name_at(index), name);
  crash_barrier();  // a complete entry before the count that includes it
  map.header().name_count.store(guarded_count(index + 1), std::memory_order_release);
  return index;
}

std::string measures(std::uint64_t size, std::uint64_t alignment, std::uint32_t version) {
  return " of " + std::to_string(size) + " bytes, aligned to " + std::to_string(alignment) +
         ", version " + std::to_string(version);
}

// Both sizes if a type wraps another: its own need not show that the other has grown.
std::string describe(std::string_view name, std::uint64_t size, const value_facts& value) {
  const std::string text = demangled(name);
  if (value.size == size) return text + measures(size, value.alignment, value.version);
  return text + " of " + std::to_string(size) + " bytes with values" +
         measures(value.size, value.alignment, value.version);
}

std::uint64_t guards_hash(std::uint64_t type, std::uint32_t value_offset) noexcept {
  return mix(type, value_offset) | guards_a_type;
}

// The name of the guarded<T> whose mutexes may have a class that is bound to `guards`; empty if no
// object has had that type.
std::string_view guarded_name(const mapping& map, std::uint64_t guards) noexcept {
  const std::uint32_t count = believable_count(map).value_or(0);
  for (std::uint32_t i = 0; i < count; ++i) {
    const name_entry* const entry = find_entry(map, i, name_kind::object_type);
    if (entry != nullptr && entry->guards.load(std::memory_order_relaxed) == guards)
      return text_in(*entry);
  }
  return {};
}

// Whether a mangled name is that of a guarded<T>, by that of T. Not if T is of namespace outlive,
// which the mangled name does not repeat.
bool guards_type_of_name(std::string_view guarded, std::string_view type) noexcept {
  constexpr std::string_view begin = "N7outlive7guardedI";
  return guarded.starts_with(begin) && guarded.substr(begin.size()).starts_with(type);
}

struct found_and_expected {
  std::string found, expected, advice;
};

// For the refusal of a class that is bound to something else.
found_and_expected explain_bound(const mapping& map, const name_entry& bound,
                                 const guarded_type& wanted) {
  const std::uint64_t guards = bound.guards.load(std::memory_order_acquire);
  const auto at = [](std::uint64_t offset) {
    return ", " + std::to_string(offset) + " bytes behind its mutex";
  };
  found_and_expected text;
  text.expected = wanted.name.empty() ? "a robust_mutex without data"
                                      : "type " + demangled(wanted.name) +
                                            measures(wanted.size, wanted.alignment, wanted.version);
  if (guards == guards_nothing) return text.found = "bare mutexes", text;
  const auto found_measures = measures(bound.value_size, bound.alignment, bound.version);
  if (!wanted.name.empty() && guards_hash(wanted.hash, bound.value_offset) == guards) {
    text.found = "that type with another kind of mutex" + at(bound.value_offset);
    text.expected += at(wanted.value_offset);
    text.advice =
        " (name the kind of the mutex, too: on_owner_death<T, outlive::robust_shared_mutex>)";
    return text;
  }
  const std::string_view name = guarded_name(map, guards);
  text.found =
      (name.empty() ? "another guarded type" : demangled(name) + " with a value") + found_measures;
  if (!wanted.name.empty() && guards_type_of_name(name, wanted.name))
    text.advice = " (of another release: end its programs, or use another segment)";
  return text;
}

}  // namespace

std::uint32_t intern_class(mapping& map, std::string_view text) {
  return intern(map, {text, hash_text(text), name_kind::lock_class, 0, {}});
}

std::uint32_t intern_type(mapping& map, const object_type& type) {
  const value_facts& value = *type.value;
  const std::uint64_t guards =
      value.guarded_hash == nullptr ? 0 : guards_hash(value.guarded_hash(), value.guarded_at);
  return intern(map, {type.name, type.hash, name_kind::object_type, guards, value});
}

std::string_view text_of(const mapping& map, std::uint32_t index) noexcept {
  const name_entry* const entry = sound_entry(map, index);
  return entry == nullptr ? "unknown" : text_in(*entry);
}

const name_entry* find_entry(const mapping& map, std::uint32_t index, name_kind kind) noexcept {
  const name_entry* const entry = sound_entry(map, index);
  return entry != nullptr && entry->kind == static_cast<std::uint16_t>(kind) ? entry : nullptr;
}

std::string describe_type(const object_type& type) {
  return describe(type.name, type.size, *type.value);
}

std::string describe_type(const mapping& map, std::uint32_t index, std::uint64_t size) {
  const name_entry* const entry = find_entry(map, index, name_kind::object_type);
  if (entry == nullptr) return "unknown of " + std::to_string(size) + " bytes";
  return describe(text_in(*entry), size, {entry->value_size, entry->alignment, entry->version});
}

void bind_class(mapping& map, std::uint32_t lock_class, const guarded_type& guards) {
  name_entry& entry = map.name_at(lock_class);
  const std::uint64_t wanted = guards_hash(guards);
  std::uint64_t bound = entry.guards.load(std::memory_order_acquire);
  if (bound == 0) {
    const internal_guard hold(map, map.header().names, "names");
    bound = entry.guards.load(std::memory_order_acquire);
    if (bound == 0) {
      entry.value_size = guards.size;
      entry.value_offset = guards.value_offset;
      entry.version = guards.version;
      entry.alignment = static_cast<std::uint32_t>(guards.alignment);
      crash_barrier();  // the value's facts before the word that makes them count
      entry.guards.store(wanted, std::memory_order_release);
      bound = wanted;
    }
  }
  if (bound == wanted) return;
  const found_and_expected text = explain_bound(map, entry, guards);
  fail(errc::type_mismatch, map.describe() + ", lock class \"" +
                                std::string(text_of(map, lock_class)) + "\": found " + text.found +
                                ", expected " + text.expected + text.advice);
}

void check_class_name(std::string_view text) {
  if (!text.empty() && text.size() <= max_class_bytes && text.find('\0') == std::string_view::npos)
    return;
  fail(errc::invalid_name, "lock class " + quoted(text) + ": found " + std::to_string(text.size()) +
                               " bytes, expected 1 to " + std::to_string(max_class_bytes) +
                               " without a zero byte");
}

std::uint64_t name_checksum(const name_entry& entry) noexcept {
  const std::uint64_t text = hash_bytes(entry.text, sizeof entry.text);
  const std::uint64_t sum =
      mix(mix(entry.hash, std::uint64_t{entry.length} << 16 | entry.kind), text);
  if (entry.kind == static_cast<std::uint16_t>(name_kind::lock_class)) return sum;
  const std::uint64_t guards = mix(entry.guards.load(std::memory_order_relaxed),
                                   std::uint64_t{entry.value_offset} << 32 | entry.version);
  return mix(sum, mix(guards, entry.value_size << 8 ^ entry.alignment));
}

std::uint64_t guards_hash(const guarded_type& guards) noexcept {
  return guards.name.empty() ? guards_nothing : guards_hash(guards.hash, guards.value_offset);
}

}  // namespace outlive::detail::names
