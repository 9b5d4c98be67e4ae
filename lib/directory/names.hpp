// Names: the table of lock classes and object types. Entries are complete before they count, then
// constant, and never removed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/shared_type.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail::names {

// Index of the lock class, or of the type; a new one is added. A type of another size, alignment or
// version is another type. Throws errc::no_space, errc::damaged.
std::uint32_t intern_class(mapping& map, std::string_view text);
std::uint32_t intern_type(mapping& map, const object_type& type);

// "unknown" if the table has no such index, or the entry is damaged.
std::string_view text_of(const mapping& map, std::uint32_t index) noexcept;

// The entry; nullptr if the table has no sound one of that kind there.
const name_entry* find_entry(const mapping& map, std::uint32_t index, name_kind kind) noexcept;

// The type of an object of `size` bytes, for messages: "bank of 16 bytes, aligned to 8, version 0".
std::string describe_type(const mapping& map, std::uint32_t index, std::uint64_t size);
std::string describe_type(const object_type& type);

// Binds a class to what its locks guard: the type and its offset, or nothing, for a bare mutex.
// Throws errc::type_mismatch if the class guards something else.
void bind_class(mapping& map, std::uint32_t lock_class, const guarded_type& guards);

// Over all constant fields of an entry.
std::uint64_t name_checksum(const name_entry& entry) noexcept;

// Throws errc::invalid_name.
void check_class_name(std::string_view text);

// The hash by which a class remembers the type that it guards: a repair for a type that has grown
// since must not run on the old one. Never 0; guards_nothing for a bare mutex.
std::uint64_t guards_hash(const guarded_type& guards) noexcept;

}  // namespace outlive::detail::names
