// entrants: the threads that are at one of the library's own locks, from before the native lock
// until after the native unlock. What held[] is for users' mutexes: by it a judge knows whether a
// living thread that bears a dead holder's id may have such a lock. (Threads without a record use
// these locks, too.)
//
// A thread that dies there leaves its entry. It says nothing by then: the thread is dead, or one
// with the same id has another start time. Its place is taken over by who needs one.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// Who the calling thread is: asked once a process and thread, for what internal locks keep of it.
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

// Whether entrants were there for whom there was no place: then the places prove nothing.
bool are_complete(const mapping& map) noexcept;

}  // namespace entrants

// Names the calling thread as an entrant, for as long as this exists. To be made before the native
// lock, and to end after the native unlock.
class entrant {
 public:
  entrant(mapping& map, internal_kind which) noexcept;
  ~entrant();
  entrant(const entrant&) = delete;
  entrant& operator=(const entrant&) = delete;

  // To be called once while the thread has the lock: a judge takes an unchanged count for "nobody
  // has had it in between".
  void count() noexcept;

 private:
  mapping& map_;
  internal_kind which_;
  std::uint64_t epoch_;
  shared_u64* place_ = nullptr;
};

}  // namespace outlive::detail
