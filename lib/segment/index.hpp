// The index of the directory: name -> block, open addressing, read without a lock.
//
// A slot is {hash, block and check}. Empty: hash 0, whatever the block. Published by the store of its hash, removed by one store of it. The check ties
// block to hash, so that a slot with a flipped bit is told from one that names something else: a look-up that passes it says "damaged".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <outlive/segment.hpp>

#include "segment/mapping.hpp"

namespace outlive::detail::index {

// The same for the common case: the object is there, with this name and type, and all that is compared on the way to it is right. Nothing means
// that find() must look with care. In few instructions, so that the misses of several look-ups overlap.
std::optional<std::uint32_t> find_quickly(const mapping& where, std::string_view name, const object_type& type) noexcept;

// Line of the live block of that name, whatever its type; `type` is the one expected. Throws errc::damaged.
std::optional<std::uint32_t> find(const mapping& where, std::string_view name, const object_type& type);

// The rest requires the directory mutex.

// Makes the name lead to the block, if it does not yet.
void ensure(mapping& where, std::string_view name, std::uint32_t line);
// Takes the slot that leads to the block away, if there is one.
void remove(mapping& where, std::string_view name, std::uint32_t line);
// Takes all slots away that lead to a block that is not live.
void remove_stale(mapping& where);

// Whether the block's own name leads to it: what looks like a block, but lies inside an object, has no slot. Never throws.
bool names(const mapping& where, std::uint32_t line) noexcept;

}  // namespace outlive::detail::index
