// Names: the table of lock classes and object types. Entries are complete before they count, are never changed after, and never go.
#pragma once

#include <cstdint>
#include <string_view>

#include "segment/mapping.hpp"

namespace outlive::detail::names {

// Index of the name; adds it if it is new. Throws errc::no_space, errc::damaged.
std::uint32_t intern(mapping& where, std::string_view text, name_kind kind);
// The same for who knows the text's hash_text() already.
std::uint32_t intern(mapping& where, std::string_view text, std::uint64_t hash, name_kind kind);

// "unknown" for an index that the table does not have, or whose entry is damaged.
std::string_view text_of(const mapping& where, std::uint32_t index) noexcept;

// What locks of a class guard: the type and where it lies. Throws errc::type_mismatch when the class guards something else. `guards` is
// guards_nothing for a bare mutex; `type_name` is for the message.
void bind_class(mapping& where, std::uint32_t lock_class, std::uint64_t guards, std::uint32_t value_offset, std::string_view type_name);

// Checks a lock class's name. Throws errc::invalid_name.
void check_class_name(std::string_view text);

// Hash under which a class remembers the type that it guards: a repair of a type that has grown since must not run on the old one. Never 0 or
// guards_nothing.
std::uint64_t guarded_type_hash(std::uint64_t type, std::uint32_t value_offset) noexcept;

}  // namespace outlive::detail::names
