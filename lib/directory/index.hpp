// The index of the directory: name -> block, open addressing, read without a lock.
//
// A look-up starts at the first slot of the name's bucket and continues, across buckets, to the
// first empty slot. A slot (layout.hpp) is published, replaced and removed by one store of its
// word. Its check distinguishes a flipped bit from another name's slot: a look-up that passes a
// damaged slot reports it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <outlive/shared_type.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail::index {

// A name with its hash, which is needed several times.
struct key {
  std::string_view name;
  std::uint64_t hash;

  explicit key(std::string_view text) noexcept;
};

// Line of the object of that name and type in the common case: it is in its bucket, and everything
// compared on the way fits. Nothing means that find() must search. No branch depends on the slot's
// place in the bucket, and there are few instructions, so that the cache misses of several look-ups
// overlap.
std::optional<std::uint32_t> find_quickly(const mapping& map, const key& wanted,
                                          const object_type& type) noexcept;

// Line of the live block of that name, whatever its type; `type` is the expected one. Throws
// errc::damaged.
std::optional<std::uint32_t> find(const mapping& map, const key& wanted, const object_type& type);

// Whether the name leads to the block. Bytes inside an object that look like a block have no slot.
// Throws errc::damaged.
bool leads_to(const mapping& map, const key& name, std::uint32_t line);

// The contents of a slot, for checks of the whole index.
enum class slot_kind { empty, removed, used, damaged };
struct slot_contents {
  slot_kind what;
  std::uint32_t line;  // of a used slot: the line of its block
};
slot_contents read_slot(const mapping& map, std::uint64_t at) noexcept;

// The rest requires the directory mutex.

// The result of a look-up: the line, or the slot that the name may be put into.
struct search {
  std::optional<std::uint32_t> line;
  std::uint64_t free_slot;
};
search find_or_place(const mapping& map, const key& wanted, const object_type& type);
// Makes the name lead to the block. Requires: `slot` is the free slot of a search for this name,
// and no slot has changed since.
void put(mapping& map, std::uint64_t slot, const key& name, std::uint32_t line) noexcept;

// Makes the name lead to the block, unless it does.
void ensure(mapping& map, const key& name, std::uint32_t line);
// Removes the slot that leads to the block, if there is one.
void remove(mapping& map, const key& name, std::uint32_t line);
// Removes all slots that lead to a block that is not live.
void remove_stale(mapping& map);

}  // namespace outlive::detail::index
