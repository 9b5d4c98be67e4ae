// The directory: names of objects, and their memory.
//
// Blocks follow each other from the start of the objects: a header of one line, the object, the
// rest of a long name. The index (name -> block) and the lists of freed blocks are derived from the
// blocks, and counted again after a holder of the directory mutex died. Look-up takes no lock: a
// slot is published last, by one store.
//
// An insertion has these steps, and recount() repairs the state after each: block written,
// "constructing" | end moved on | slot | constructor | "live". So has a removal: "destroying" |
// destructor | "freed" | slot removed | block listed as freed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include <outlive/shared_type.hpp>

#include "directory/blocks.hpp"
#include "mapping/mapping.hpp"

namespace outlive::detail::directory {

inline constexpr std::size_t max_name_bytes = 255;

// The object, or nullptr. Throws errc::type_mismatch, errc::damaged.
void* find(const mapping& map, std::string_view name, const object_type& type);

using action = void (*)(void* object, void* context);

// The object, constructed by construct(memory, context) if there is none.
void* find_or_construct(mapping& map, std::string_view name, const object_type& type,
                        action construct, void* context);

// The mapping that contains the address, if the calling thread constructs an object in it: cheaper
// than mapping_table::find().
mapping* constructing_at(const void* address) noexcept;

// False if there is none.
bool destroy(mapping& map, std::string_view name, const object_type& type, action end);

struct listed_object {
  std::string_view name;
  std::string_view type;  // name
  std::size_t size;
  const void* address;
};
void for_each(const mapping& map, const std::function<void(const listed_object&)>& visit);

// Name of the live object that contains the offset from the segment's base; empty if there is none,
// or the directory is damaged. The result points into the segment.
// Requires: the object stays, for example because its mutex is held.
std::string_view name_of(const mapping& map, std::uint64_t offset) noexcept;
// A copy of the name, for callers that cannot keep the object. Returns: a view of `into`.
std::string_view copy_name_of(const mapping& map, std::uint64_t offset,
                              blocks::name_copy& into) noexcept;
// The line of that object's block, and its name; nothing if there is none.
std::optional<std::uint32_t> object_around(const mapping& map, std::uint64_t offset,
                                           blocks::name_copy& into) noexcept;

}  // namespace outlive::detail::directory

namespace outlive::detail {

// For objects that only make sense in a segment. `what` is the object's kind, for the message.
// Returns: the mapping that the object lies in, or is being constructed in.
// Throws errc::not_in_segment.
std::shared_ptr<mapping> require_in_segment(const void* object, const char* what);

}  // namespace outlive::detail
