// The lock class of a mutex: what its word says, and whether that is possible.
//
// A repair is found by the class, and writes to the place of the class's value. So a damaged class
// must never lead to a repair, which would overwrite a neighbour. Two checks come before any
// repair. The mutex's own word has a check over the class and the mutex's place, which neither a
// changed byte nor another mutex's word passes. And the value that the class guards must lie in the
// object around the mutex.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// The word `lock_class` of a mutex at `offset`. Only mutexes that lie a multiple of 4 MiB apart
// have the same checks.
constexpr std::uint32_t pack_lock_class(std::uint32_t index, std::uint64_t offset) noexcept {
  const auto line = static_cast<std::uint32_t>(offset / cache_line);
  return ((~index ^ line) & 0xffff) << 16 | index;
}

// Index of the class among the names; nothing if the word is damaged.
std::optional<std::uint32_t> lock_class_of(const mapping& map, const lock_bytes& lock) noexcept;
// Its name, or "unknown".
std::string_view lock_class_name(const mapping& map, const lock_bytes& lock) noexcept;

// The class, if the value that it guards lies in the object around the mutex. If no object is
// found, because the directory is damaged or the object is being destroyed, the mutex's word alone
// decides.
std::optional<std::uint32_t> fitting_lock_class(const mapping& map,
                                                const lock_bytes& lock) noexcept;

}  // namespace outlive::detail
