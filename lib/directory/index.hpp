// The index of the directory: name -> block, open addressing, read without a lock.
//
// A look-up starts at the first slot of the name's bucket and goes on, over the buckets' borders,
// up to the first empty slot. A slot (layout.hpp) is published, replaced and removed by one store
// of its word; its check tells a flipped bit from a slot of another name: a look-up that passes it
// says "damaged".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <outlive/shared_type.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail::index {

// A name with its hash, which is wanted several times.
struct key {
  std::string_view name;
  std::uint64_t hash;

  explicit key(std::string_view text) noexcept;
};

// Line of the object of that name and type, in the common case: it is there, in its bucket, and all
// that is compared on the way to it is right. Nothing means that find() must look with care. No
// branch hangs on which slot of the bucket it is, and there are few instructions, so that the cache
// misses of several look-ups overlap.
std::optional<std::uint32_t> find_quickly(const mapping& map, const key& wanted,
                                          const object_type& type) noexcept;

// Line of the live block of that name, whatever its type; `type` is the one expected. Throws
// errc::damaged.
std::optional<std::uint32_t> find(const mapping& map, const key& wanted, const object_type& type);

// Whether the name leads to the block: what looks like a block, but lies inside an object, has no
// slot. Throws errc::damaged.
bool leads_to(const mapping& map, const key& name, std::uint32_t line);

// What stands in a slot, for who looks at the index as a whole.
enum class slot_kind { empty, removed, used, damaged };
struct slot_contents {
  slot_kind what;
  std::uint32_t line;  // of a used slot: where its block should lie
};
slot_contents read_slot(const mapping& map, std::uint64_t at) noexcept;

// The rest requires the directory mutex.

// What a look-up came to: the line, or the slot that the name may be put into.
struct search {
  std::optional<std::uint32_t> line;
  std::uint64_t free_slot;
};
search find_or_place(const mapping& map, const key& wanted, const object_type& type);
// Makes the name lead to the block. Requires: `slot` is the free slot of a search for this name,
// and no slot was changed since.
void put(mapping& map, std::uint64_t slot, const key& name, std::uint32_t line) noexcept;

// Makes the name lead to the block, if it does not yet.
void ensure(mapping& map, const key& name, std::uint32_t line);
// Takes the slot that leads to the block away, if there is one.
void remove(mapping& map, const key& name, std::uint32_t line);
// Takes all slots away that lead to a block that is not live.
void remove_stale(mapping& map);

}  // namespace outlive::detail::index
