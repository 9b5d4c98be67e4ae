// held_walk: looks at what a thread has in hand, from outside and while that thread may work on its
// list.
//
// Downwards, always. A mutex that is unlocked out of order leaves a gap, and the last entry moves
// into it (held_list::remove): an entry only ever moves to a lower place, and stands there before
// it goes from the higher one. So a walk downwards meets every mutex that is in hand during the
// whole of it, once or twice. A walk upwards can be past the lower place before the entry has come,
// and at the higher one after it has gone, and a living owner seems to have nothing. A mutex that
// is given back and taken again meanwhile may be missed in either direction: that, the count of
// acquisitions tells.
//
// On the loads of `place`, all acquire: an entry with the address that belongs to it pairs with the
// release in put() and remove(); an empty place, or a newer entry in it, with the stores that
// follow the copy there: who sees either sees the copy.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail::held_walk {

// Entries follow each other from the first place on. A signal handler's may come behind an empty
// place; a few of those are looked over.
inline constexpr std::uint32_t empty_places = 4;

// Above the last entry. What comes above it later was acquired later.
inline std::uint32_t end_of(const mapping& map, std::uint32_t index) noexcept {
  const held_entry* const held = map.held(index);
  const std::uint32_t most = map.constants().max_held;
  std::uint32_t empty = 0;
  std::uint32_t at = 0;
  for (; at < most && empty < empty_places; ++at) {
    if (held[at].place.load(std::memory_order_acquire) == 0) ++empty;
  }
  return at;
}

// Calls visit(place, entry) for each entry, the newest first; `place` is what was read of it. One
// that moves is visited twice.
template <class Visit>
void for_each(const mapping& map, std::uint32_t index, Visit visit) {
  const held_entry* const held = map.held(index);
  for (std::uint32_t at = end_of(map, index); at-- > 0;) {
    if (const std::uint64_t place = held[at].place.load(std::memory_order_acquire))
      visit(place, held[at]);
  }
}

// Whether the record names the mutex. Looks at every place: an owner's life depends on it.
inline bool names(const mapping& map, std::uint32_t index, std::uint64_t offset) noexcept {
  const held_entry* const held = map.held(index);
  for (std::uint32_t at = map.constants().max_held; at-- > 0;) {
    if ((held[at].place.load(std::memory_order_acquire) & held_offset_mask) == offset) return true;
  }
  return false;
}

}  // namespace outlive::detail::held_walk
