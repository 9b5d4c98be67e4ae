// Which lock class a mutex is of: what stands in it, and whether that can be.
//
// A repair is found by the class, and writes where the class says that its value lies. So a class
// that is another one than the mutex was made with must never lead to a repair: it would write over
// a neighbour. Two looks, before any repair: the mutex's own word, which has a check over the class
// and the mutex's place, so that neither a changed byte nor another mutex's word passes; and what
// the class guards, which must be what lies in the object around the mutex.
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

// Index of the class among the names; nothing where the word is damaged.
std::optional<std::uint32_t> lock_class_of(const mapping& map, const lock_bytes& lock) noexcept;
// Its name, or "unknown".
std::string_view lock_class_name(const mapping& map, const lock_bytes& lock) noexcept;

// The class, if what it guards lies in the object around the mutex, where the class says. Where no
// object can be found, as when the directory is damaged or the object is being destroyed, the
// mutex's word alone decides.
std::optional<std::uint32_t> fitting_lock_class(const mapping& map,
                                                const lock_bytes& lock) noexcept;

}  // namespace outlive::detail
