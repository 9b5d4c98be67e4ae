#include "mutex/held_list.hpp"

namespace outlive::detail::held_list {

namespace {

bool push_below(attachment& mine, const held_entry* limit, std::uint64_t offset,
                const void* return_address) noexcept {
  if (mine.top >= limit) return false;
  held_entry& entry = *mine.top;
  this_thread::move_top(mine, &entry + 1);
  put(entry, offset, return_address);
  return true;
}

}  // namespace

bool push(attachment& mine, std::uint64_t offset, const void* return_address) noexcept {
  return push_below(mine, this_thread::limit_of(mine), offset, return_address);
}

bool push_for_a_moment(attachment& mine, std::uint64_t offset,
                       const void* return_address) noexcept {
  return push_below(mine, mine.held + held_places(mine.map->constants()), offset, return_address);
}

held_entry* find(const attachment& mine, std::uint64_t offset) noexcept {
  for (held_entry* at = mine.top; at != mine.held;) {
    --at;
    if ((at->place.load(std::memory_order_relaxed) & held_offset_mask) == offset) return at;
  }
  return nullptr;
}

void remove(attachment& mine, std::uint64_t offset) noexcept {
  held_entry* const gap = find(mine, offset);
  if (gap == nullptr) return;
  held_entry* const last = mine.top - 1;
  if (gap != last) {
    // The last entry moves to the gap. For two stores it is there twice.
    gap->return_address.store(last->return_address.load(std::memory_order_relaxed),
                              std::memory_order_relaxed);
    crash_barrier();  // the address is there before the entry counts
    // Release: after its address (held_entries.hpp).
    gap->place.store(last->place.load(std::memory_order_relaxed), std::memory_order_release);
    crash_barrier();  // the copy is there before the original goes
  }
  // Release: a thread that no longer sees the entry sees its copy, or the count of acquisitions
  // (held_entries.hpp, adoption.cpp).
  last->place.store(0, std::memory_order_release);
  crash_barrier();  // empty before a signal handler can use the place
  this_thread::move_top(mine, last);
}

}  // namespace outlive::detail::held_list
