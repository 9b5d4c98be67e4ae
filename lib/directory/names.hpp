// Names: the table of lock classes and object types. Entries are complete before they count, are
// never changed after, and never go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/shared_type.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail::names {

// Index of the lock class, or of the type; adds it if it is new. A type of another size, alignment
// or version is another one. Throws errc::no_space, errc::damaged.
std::uint32_t intern_class(mapping& map, std::string_view text);
std::uint32_t intern_type(mapping& map, const object_type& type);

// "unknown" for an index that the table does not have, or whose entry is damaged.
std::string_view text_of(const mapping& map, std::uint32_t index) noexcept;

// The entry, or nullptr where the table has no sound one of that kind there.
const name_entry* find_entry(const mapping& map, std::uint32_t index, name_kind kind) noexcept;

// The type of an object of `size` bytes, for messages: "bank of 16 bytes, aligned to 8, version 0".
std::string describe_type(const mapping& map, std::uint32_t index, std::uint64_t size);
std::string describe_type(const object_type& type);

// What locks of a class guard: the type and where it lies; a bare mutex guards nothing. Throws
// errc::type_mismatch when the class guards something else.
void bind_class(mapping& map, std::uint32_t lock_class, const guarded_type& guards);

// Over all of an entry that never changes.
std::uint64_t name_checksum(const name_entry& entry) noexcept;

// Checks a lock class's name. Throws errc::invalid_name.
void check_class_name(std::string_view text);

// Hash under which a class remembers the type that it guards: a repair of a type that has grown
// since must not run on the old one. Never 0; guards_nothing for a bare mutex.
std::uint64_t guards_hash(const guarded_type& guards) noexcept;

}  // namespace outlive::detail::names
