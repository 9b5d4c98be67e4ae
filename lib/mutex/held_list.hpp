// held_list: the mutexes that the calling thread has in hand in one segment, as its thread record
// shows them to others.
//
// Extra entries are harmless, a missing one is not (U10): an entry is there before the native lock,
// and until after the native unlock. Every store below leaves each mutex in hand in at least one
// entry.
#pragma once

#include <atomic>
#include <cstdint>

#include "records/thread_slot.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail::held_list {

// Puts an entry at `at`. Requires: the place above it was counted before, so that a signal handler
// that locks in between goes above it.
inline void put(held_entry& at, std::uint64_t offset, const void* return_address) noexcept {
  at.return_address.store(reinterpret_cast<std::uint64_t>(return_address),
                          std::memory_order_relaxed);
  crash_barrier();  // the address belongs to the entry as soon as the entry counts
  // Release: with its address, and after the copy of an entry that stood here before and moved down
  // (held_entries.hpp).
  at.place.store(offset, std::memory_order_release);
  // The entry before the native lock, for a living judge of this thread, too (adoption.cpp); on
  // x86-64 that costs no more than a crash barrier.
  std::atomic_thread_fence(std::memory_order_release);
}

// The rest works on an attachment that the slot is off (this_thread::deactivate()).

// False: the thread holds as many as it may.
bool push(attachment& mine, std::uint64_t offset, const void* return_address) noexcept;
// Removes the newest entry of the mutex, if there is one.
void remove(attachment& mine, std::uint64_t offset) noexcept;
// The newest entry of the mutex; nullptr if there is none.
held_entry* find(const attachment& mine, std::uint64_t offset) noexcept;

}  // namespace outlive::detail::held_list
