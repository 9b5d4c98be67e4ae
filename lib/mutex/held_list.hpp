// held_list: the mutexes of one segment that the calling thread holds or is about to acquire. Its
// thread record shows them to other threads.
//
// An extra entry is harmless, a missing one is not (U10). So an entry exists from before the native
// lock until after the native unlock. After every store below, each of these mutexes has at least
// one entry.
#pragma once

#include <atomic>
#include <cstdint>

#include "records/thread_slot.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail::held_list {

// Writes an entry at `at`. Requires: the place was counted before, so that a signal handler that
// locks in between uses the place above it.
inline void put(held_entry& at, std::uint64_t offset, const void* return_address) noexcept {
  at.return_address.store(reinterpret_cast<std::uint64_t>(return_address),
                          std::memory_order_relaxed);
  crash_barrier();  // the address is there before the entry counts
  // Release: after its address, and after the copy of an entry that was here before and moved down
  // (held_entries.hpp).
  at.place.store(offset, std::memory_order_release);
  // The entry is there before the native lock, also for a thread that judges this one while it
  // lives (adoption.cpp). On x86-64 that costs no more than a crash barrier.
  std::atomic_thread_fence(std::memory_order_release);
}

// The functions below require that the slot is off (this_thread::deactivate()).

// Returns: false if the thread holds as many as it may.
bool push(attachment& mine, std::uint64_t offset, const void* return_address) noexcept;
// The same up to the last place of the record. It is kept for a mutex that the thread releases
// before its call returns: a reader of a shared mutex must not be refused because a writer happens
// to be inside. Returns: false if such a call is under way, and this is a repair that it runs.
bool push_for_a_moment(attachment& mine, std::uint64_t offset, const void* return_address) noexcept;
// Removes the newest entry of the mutex, if there is one.
void remove(attachment& mine, std::uint64_t offset) noexcept;
// Returns: the newest entry of the mutex; nullptr if there is none.
held_entry* find(const attachment& mine, std::uint64_t offset) noexcept;

}  // namespace outlive::detail::held_list
