// entrants: the threads at one of the library's own locks, from before the native lock until after
// the native unlock. They are what held[] is for users' mutexes: they show whether a living thread
// with a dead holder's id may have such a lock. (Threads without a record use these locks, too.)
//
// A thread that dies there leaves its entry. The entry then has no effect: the thread is dead, or
// one with the same id has another start time. Another thread may reuse the place.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// The calling thread's identity, read once a process and thread, as internal locks keep it.
struct own_identity {
  std::uint64_t epoch;
  std::uint64_t start_time;
  std::uint32_t tid;
};
const own_identity& myself() noexcept;

namespace entrants {

// The calling thread's word, for one of the locks.
std::uint64_t word_of_this_thread(internal_kind which) noexcept;

// Whether the thread that a word names is certainly dead. Never becomes false again.
bool is_dead(std::uint64_t word) noexcept;

// Whether a living thread with that id may have the lock, by one look at all places.
bool may_be_inside(const mapping& map, internal_kind which, std::uint32_t tid) noexcept;

// Whether every entrant had a place. If not, the places prove nothing.
bool are_complete(const mapping& map) noexcept;

}  // namespace entrants

// Names the calling thread as an entrant while this exists. Construct it before the native lock,
// and destroy it after the native unlock.
class entrant {
 public:
  entrant(mapping& map, internal_kind which) noexcept;
  ~entrant();
  entrant(const entrant&) = delete;
  entrant& operator=(const entrant&) = delete;

  // Call it once while the thread has the lock. A judge concludes from an unchanged count that no
  // thread has had the lock in between.
  void count() noexcept;

 private:
  mapping& map_;
  internal_kind which_;
  std::uint64_t epoch_;
  shared_u64* place_ = nullptr;
};

}  // namespace outlive::detail
