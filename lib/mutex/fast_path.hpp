// The fast path of locks with a native mutex: an uncontended, consistent one, in the segment that
// the thread used last. Counted in instructions by a test: every line here is paid at each lock.
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

// Range test, fork check, "has this thread a record" and held limit are the two comparisons at the
// top: a slot that fork wiped has size 0.
[[gnu::always_inline]] inline attempt acquire_natively(lock_bytes& lock, std::uint32_t magic,
                                                       const void* return_address) noexcept {
  thread_slot& slot = current_slot;
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<char*>(&lock) - slot.base);
  held_entry* const entry = slot.top;
  if (offset >= slot.wiped->size || entry == slot.limit) [[unlikely]]
    return attempt::not_tried;
  if (load_own(lock.magic) != magic || !native_mutex::is_intact(lock.native)) [[unlikely]]
    return attempt::not_tried;  // no native call on it
  slot.top = entry + 1;         // counted first: the place is taken before anything stands in it
  crash_barrier();
  held_list::put(*entry, offset, return_address);
  const int rc = native_mutex::try_lock_intact(lock.native);
  return rc != 0 || load_own(lock.state) != free_consistent ? static_cast<attempt>(rc)
                                                            : attempt::acquired;
}

// Requires: attempt::acquired.
[[gnu::always_inline]] inline void enter(lock_bytes& lock) noexcept {
  thread_slot& slot = current_slot;
  lock.state.store(slot.me, std::memory_order_relaxed);
  crash_barrier();  // inside, before the user's first change
  raise_own(slot.record->acquisitions);
}

// True: done. False: not this thread's by the slot; the slow path looks further. Calls once_out()
// between the state and the native unlock.
template <class OnceOut>
[[gnu::always_inline]] inline bool release(lock_bytes& lock, OnceOut once_out) noexcept {
  thread_slot& slot = current_slot;
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<char*>(&lock) - slot.base);
  if (offset >= slot.wiped->size || lock.state.load(std::memory_order_relaxed) != slot.me)
      [[unlikely]]
    return false;
  held_entry* const entry = slot.top - 1;
  if (load_own(entry->place) != offset) [[unlikely]]
    return false;  // not the newest, or repaired
  lock.state.store(free_consistent, std::memory_order_relaxed);
  crash_barrier();  // out, before the mutex is anybody's
  once_out();
  native_mutex::unlock(lock.native);
  // the entry until after the native unlock (U10)
  crash_barrier();
  // a judge that does not see the entry any more sees the count (adoption.cpp)
  entry->place.store(0, std::memory_order_release);
  crash_barrier();  // empty before its place is free
  slot.top = entry;
  return true;
}

}  // namespace outlive::detail::fast_path
