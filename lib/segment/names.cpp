#include "segment/names.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "segment/failure.hpp"
#include "segment/hash.hpp"
#include "segment/internal_guard.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail::names {

namespace {

std::uint64_t checksum_of(const name_entry& entry) noexcept {
  return mix(mix(entry.hash, std::uint64_t{entry.length} << 16 | entry.kind), hash_bytes(entry.text, sizeof entry.text));
}

bool is_sound(const name_entry& entry) noexcept {
  return entry.checksum == checksum_of(entry) && entry.length < sizeof entry.text;
}

// The count stands in the low half of its word, its complement in the high one.
constexpr std::uint32_t with_complement(std::uint32_t count) noexcept {
  return (~count & 0xffff) << 16 | count;
}

std::optional<std::uint32_t> believable_count(const mapping& where) noexcept {
  const std::uint32_t stored = where.header().name_count.load(std::memory_order_acquire);
  const std::uint32_t count = stored & 0xffff;
  if (stored != with_complement(count) || count > where.constants().lock_classes) return std::nullopt;
  return count;
}

std::uint32_t count_of(const mapping& where) {
  if (const auto count = believable_count(where)) return *count;
  fail(errc::damaged, where.describe() + ": found " + std::to_string(where.header().name_count.load(std::memory_order_relaxed)) +
                          " as the count of its names, expected a number and its complement");
}

// Not beyond the entry, whatever length it says.
std::string_view text_in(const name_entry& entry) noexcept {
  return {entry.text, std::min<std::size_t>(entry.length, sizeof entry.text)};
}

std::optional<std::uint32_t> find(const mapping& where, std::string_view text, std::uint64_t hash, name_kind kind) {
  const std::string_view kept = text.substr(0, max_type_bytes);
  const std::uint32_t count = count_of(where);
  for (std::uint32_t i = 0; i < count; ++i) {
    const name_entry& entry = where.name_at(i);
    if (entry.hash == hash && entry.kind == static_cast<std::uint16_t>(kind) && text_in(entry) == kept) return i;
  }
  // A damaged entry must not make its name appear twice.
  for (std::uint32_t i = 0; i < count; ++i) {
    const name_entry& entry = where.name_at(i);
    if ((entry.hash == hash || text_in(entry) == kept) && !is_sound(entry)) {
      fail(errc::damaged,
           where.describe() + ": found entry " + std::to_string(i) + " of its names overwritten, expected \"" + std::string(kept) + '"');
    }
  }
  return std::nullopt;
}

}  // namespace

std::uint32_t intern(mapping& where, std::string_view text, name_kind kind) {
  return intern(where, text, hash_text(text), kind);
}

std::uint32_t intern(mapping& where, std::string_view text, std::uint64_t hash, name_kind kind) {
  if (const auto known = find(where, text, hash, kind)) return *known;
  // A holder that died here left an entry that does not count, or counts and is complete: nothing to mend.
  const internal_guard hold(where, where.header().names, "names");
  if (const auto known = find(where, text, hash, kind)) return *known;
  const std::uint32_t index = count_of(where);
  if (index == where.constants().lock_classes) {
    fail(errc::no_space, where.describe() + ": found all " + std::to_string(index) + " names in use, expected room for \"" + std::string(text) +
                             "\" (segment_options::lock_classes)");
  }
  name_entry& entry = where.name_at(index);
  entry.hash = hash;
  entry.guards.store(0, std::memory_order_relaxed);
  entry.value_offset = 0;
  entry.kind = static_cast<std::uint16_t>(kind);
  entry.length = static_cast<std::uint16_t>(std::min(text.size(), max_type_bytes));
  std::memset(entry.text, 0, sizeof entry.text);
  std::memcpy(entry.text, text.data(), entry.length);
  entry.checksum = checksum_of(entry);
  crash_barrier();  // an entry counts only when it is complete
  where.header().name_count.store(with_complement(index + 1), std::memory_order_release);
  return index;
}

std::string_view text_of(const mapping& where, std::uint32_t index) noexcept {
  const auto count = believable_count(where);
  if (!count || index >= *count || !is_sound(where.name_at(index))) return "unknown";
  return text_in(where.name_at(index));
}

void bind_class(mapping& where, std::uint32_t lock_class, std::uint64_t guards, std::uint32_t value_offset, std::string_view type_name) {
  name_entry& entry = where.name_at(lock_class);
  std::uint64_t bound = entry.guards.load(std::memory_order_acquire);
  if (bound == 0) {
    const internal_guard hold(where, where.header().names, "names");
    bound = entry.guards.load(std::memory_order_acquire);
    if (bound == 0) {
      entry.value_offset = value_offset;
      crash_barrier();  // the offset before the word that makes it count
      entry.guards.store(guards, std::memory_order_release);
      bound = guards;
    }
  }
  if (bound == guards) return;
  const std::string expected = guards == guards_nothing ? "a robust_mutex without data" : "type " + std::string(type_name);
  fail(errc::type_mismatch, where.describe() + ", lock class \"" + std::string(text_of(where, lock_class)) + "\": found " +
                                (bound == guards_nothing ? "bare mutexes" : "another guarded type") + ", expected " + expected);
}

void check_class_name(std::string_view text) {
  if (!text.empty() && text.size() <= max_class_bytes && text.find('\0') == std::string_view::npos) return;
  fail(errc::invalid_name, "lock class " + quoted(text) + ": found " + std::to_string(text.size()) + " bytes, expected 1 to " +
                               std::to_string(max_class_bytes) + " without a zero byte");
}

std::uint64_t guarded_type_hash(std::uint64_t type, std::uint32_t value_offset) noexcept {
  return mix(type, value_offset) | std::uint64_t{1} << 63;
}

}  // namespace outlive::detail::names
