// held_entries: the mutexes that a thread has in hand, read from outside, perhaps while the thread
// changes its list.
//
// A walk over a living thread's entries goes downwards. A mutex that is unlocked out of order
// leaves a gap, and the last entry moves into it (held_list::remove). So an entry only moves to a
// lower place, and stands there before it leaves the higher one. A walk downwards meets every mutex
// that is in hand during the whole walk, once or twice. A walk upwards can pass the lower place
// before the entry comes, and reach the higher one after it has gone: a living owner seems to have
// nothing. Both directions may miss a mutex that is released and acquired again meanwhile. The
// count of acquisitions shows that.
//
// All loads of `place` are acquire. A place with an entry pairs with the release in put() and
// remove(): the reader sees the return address that belongs to it. An empty place, or a newer entry
// in it, pairs with the stores that follow the copy to the lower place: the reader sees the copy.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// An entry as it was read.
struct seen_entry {
  std::uint32_t index;
  std::uint64_t place;
  std::uint64_t return_address;

  [[nodiscard]] std::uint64_t offset() const noexcept { return place & held_offset_mask; }
};

class held_entries {
 public:
  held_entries(const held_entry* first, std::uint32_t count) noexcept
      : first_(first), count_(count) {}
  held_entries(const mapping& map, std::uint32_t record) noexcept
      : held_entries(map.held(record), held_places(map.constants())) {}

  // Calls visit(entry) for each entry, newest first. One that moves is visited twice.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::uint32_t at = end(); at-- > 0;) visit_at(at, visit);
  }
  // The same over all places, oldest first. Only for a dead thread, whose entries do not move, or
  // to judge each place by itself.
  template <class Visit>
  void for_each_upwards(Visit visit) const {
    for (std::uint32_t at = 0; at < count_; ++at) visit_at(at, visit);
  }

  // Whether is(entry) holds for an entry. Looks at every place, newest first.
  template <class Is>
  [[nodiscard]] bool any_of(Is is) const {
    bool found = false;
    for (std::uint32_t at = count_; at-- > 0 && !found;)
      visit_at(at, [&](const seen_entry& entry) { found = is(entry); });
    return found;
  }
  [[nodiscard]] bool names(std::uint64_t offset) const noexcept {
    return any_of([&](const seen_entry& entry) { return entry.offset() == offset; });
  }

 private:
  template <class Visit>
  void visit_at(std::uint32_t at, Visit&& visit) const {
    const std::uint64_t place = first_[at].place.load(std::memory_order_acquire);
    if (place != 0)
      visit(seen_entry{at, place, first_[at].return_address.load(std::memory_order_relaxed)});
  }

  // Above the last entry. An entry that comes above it later was acquired later. Entries follow
  // each other, but a signal handler's may come behind an empty place: the search passes a few of
  // those.
  [[nodiscard]] std::uint32_t end() const noexcept {
    constexpr std::uint32_t empty_places = 4;
    std::uint32_t at = 0;
    for (std::uint32_t empty = 0; at < count_ && empty < empty_places; ++at)
      empty += first_[at].place.load(std::memory_order_acquire) == 0 ? 1U : 0U;
    return at;
  }

  const held_entry* first_;
  std::uint32_t count_;
};

}  // namespace outlive::detail
