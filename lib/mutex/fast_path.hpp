// The fast path of locks with a native mutex: an uncontended, consistent one in the segment that
// the thread used last. A test counts its instructions: each lock pays for every line here.
#pragma once

#include <cstdint>

#include "format/lock_state.hpp"
#include "mutex/held_list.hpp"
#include "mutex/outcome.hpp"
#include "records/thread_slot.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"
#include "sys/own_words.hpp"

namespace outlive::detail::fast_path {

// Calls may_try() once the bytes are known to be a lock, and tries it if that returns true.
// The two comparisons at the top are the range test, the fork check, "does this thread have a
// record" and the limit of held mutexes: a slot that a fork wiped has size 0.
template <class MayTry>
[[gnu::always_inline]] inline attempt acquire_natively(lock_bytes& lock, std::uint32_t magic,
                                                       const void* return_address,
                                                       MayTry may_try) noexcept {
  thread_slot& slot = current_slot;
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<char*>(&lock) - slot.base);
  held_entry* const entry = slot.top;
  if (offset >= slot.wiped->size || entry == slot.limit) [[unlikely]]
    return attempt::not_tried;
  if (load_own(lock.magic) != magic || !native_mutex::is_intact(lock.native)) [[unlikely]]
    return attempt::not_tried;  // no native call on it
  if (!may_try()) [[unlikely]]
    return attempt::not_tried;
  slot.top = entry + 1;  // the place is counted before it is written
  crash_barrier();
  held_list::put(*entry, offset, return_address);
  const int rc = native_mutex::try_lock_intact(lock.native);
  return rc != 0 || load_own(lock.state) != free_consistent ? static_cast<attempt>(rc)
                                                            : attempt::acquired;
}

[[gnu::always_inline]] inline attempt acquire_natively(lock_bytes& lock, std::uint32_t magic,
                                                       const void* return_address) noexcept {
  return acquire_natively(lock, magic, return_address, [] { return true; });
}

// Requires: attempt::acquired.
[[gnu::always_inline]] inline void enter(lock_bytes& lock) noexcept {
  thread_slot& slot = current_slot;
  lock.state.store(slot.me, std::memory_order_relaxed);
  crash_barrier();  // inside, before the user's first change
  raise_own(slot.record->acquisitions);
}

// Calls before_unlock() between the store of the state and the native unlock.
// Returns: false if the slot does not show that this thread holds the mutex. Then nothing was done,
//   and the slow path looks further.
template <class BeforeUnlock>
[[gnu::always_inline]] inline bool release(lock_bytes& lock, BeforeUnlock before_unlock) noexcept {
  thread_slot& slot = current_slot;
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<char*>(&lock) - slot.base);
  if (offset >= slot.wiped->size || lock.state.load(std::memory_order_relaxed) != slot.me)
      [[unlikely]]
    return false;
  held_entry* const entry = slot.top - 1;
  if (load_own(entry->place) != offset) [[unlikely]]
    return false;  // not the newest entry, or one of a repaired mutex
  lock.state.store(free_consistent, std::memory_order_relaxed);
  crash_barrier();  // outside, before another thread can have the mutex
  before_unlock();
  native_mutex::unlock(lock.native);
  crash_barrier();  // the entry stays until after the native unlock (U10)
  // Release: an adopter that no longer sees the entry sees the count (adoption.cpp).
  entry->place.store(0, std::memory_order_release);
  crash_barrier();  // empty before its place is free
  slot.top = entry;
  return true;
}

}  // namespace outlive::detail::fast_path
