#include "directory/lock_class.hpp"

#include <atomic>

#include "directory/blocks.hpp"
#include "directory/directory.hpp"
#include "directory/names.hpp"

namespace outlive::detail {

namespace {

// Whether the value that the class guards is behind the mutex and inside its object.
bool value_is_inside(const name_entry& entry, std::uint64_t lock_at,
                     std::uint64_t object_bytes) noexcept {
  const std::uint64_t begin = lock_at + entry.value_offset;
  return entry.value_offset >= sizeof(lock_bytes) && begin <= object_bytes &&
         entry.value_size <= object_bytes - begin;
}

}  // namespace

std::optional<std::uint32_t> lock_class_of(const mapping& map, const lock_bytes& lock) noexcept {
  const std::uint32_t word = __atomic_load_n(&lock.lock_class, __ATOMIC_RELAXED);
  const std::uint32_t index = word & 0xffff;
  if (word != pack_lock_class(index, map.offset_of(&lock)) ||
      names::find_entry(map, index, name_kind::lock_class) == nullptr)
    return std::nullopt;
  return index;
}

std::string_view lock_class_name(const mapping& map, const lock_bytes& lock) noexcept {
  const auto index = lock_class_of(map, lock);
  return index ? names::text_of(map, *index) : "unknown";
}

std::optional<std::uint32_t> fitting_lock_class(const mapping& map,
                                                const lock_bytes& lock) noexcept {
  const auto index = lock_class_of(map, lock);
  if (!index) return std::nullopt;
  const name_entry& entry = map.name_at(*index);
  const std::uint64_t guards = entry.guards.load(std::memory_order_acquire);
  const std::uint64_t offset = map.offset_of(&lock);
  blocks::name_copy object;
  const auto line = directory::object_around(map, offset, object);
  if (!line) return index;
  const block_header& block = blocks::at(map, *line);
  const std::uint64_t in_object = offset - map.offset_of(blocks::object_of(block));
  const name_entry* const type = names::find_entry(map, object.type_name, name_kind::object_type);
  // The type of a guarded<T> says what its mutex guards.
  const std::uint64_t wanted =
      type != nullptr && in_object == 0 ? type->guards.load(std::memory_order_relaxed) : 0;
  if (wanted != 0 && guards != wanted) return std::nullopt;
  if ((guards & guards_a_type) != 0 && !value_is_inside(entry, in_object, block.size))
    return std::nullopt;
  return index;
}

}  // namespace outlive::detail
