// lock_natively: how every native mutex of a segment is acquired, users' and the library's own:
// try, wait for a slice, adopt if the owner is dead, try again. The judge has what differs: whose
// the mutex is, and how an orphan of its kind is recognised.
//
// No wait is unbounded. A waiter could sleep for ever on a free mutex (hazard A16), or for an owner
// that is dead and was not marked.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <chrono>

#include <outlive/detail/deadline.hpp>

#include "sys/native_mutex.hpp"

namespace outlive::detail {

// What a caller waits for on the way is waited for until its deadline, and for a slice at most.
inline deadline within_a_slice(const deadline& limit) noexcept {
  if (!limit.waits()) return deadline::none();
  return limit.left_of_slice();
}

// What became of a try to adopt a mutex.
enum class adoption {
  done,     // its word names no dead owner any more: a new try is worth it
  none,     // its owner may live
  busy,     // another thread adopts, and was not done in time
  damaged,  // the segment's adoption mutex is no mutex
};

enum class native_result {
  acquired,
  inherited,  // acquired, and its former owner died with it: EOWNERDEAD
  busy,       // somebody else has it
  own,        // the calling thread has it already
  damaged,    // pthread, or the adoption, does not know these bytes
};
constexpr bool is_acquired(native_result result) noexcept {
  return result == native_result::acquired || result == native_result::inherited;
}

// `rc` is what the first native try said. `judge` has
//   bool owns()            whether the calling thread is inside: else its id in the word is a
//                          former bearer's (U6)
//   bool is_look_due_at_once()
//                          whether a caller who does not wait looks for a dead owner
//   void on_first_wait()   called once, before the first wait
//   adoption adopt(limit)  adopts the mutex if it is an orphan; waits for other adopters no longer
//                          than that
template <class Judge>
native_result lock_natively(pthread_mutex_t& mutex, int rc, const deadline& limit,
                            Judge& judge) noexcept {
  bool looked = false;
  bool waited = false;
  for (;;) {
    if (rc == 0) return native_result::acquired;
    if (rc == EOWNERDEAD) return native_result::inherited;
    if (rc != EBUSY && rc != EDEADLK) return native_result::damaged;
    if (rc == EDEADLK && judge.owns()) return native_result::own;
    // One more try after each look, also after the last: an orphan may just have been adopted. If
    // the word had the caller's id, another thread may have adopted it and have it now.
    if (looked && limit.is_over()) return native_result::busy;
    if (rc == EBUSY) {
      if (!limit.waits() && !judge.is_look_due_at_once()) return native_result::busy;
      // Most owners live, so it waits before it judges them.
      if (limit.waits()) {
        if (!waited) judge.on_first_wait();
        waited = true;
        rc = native_mutex::lock_until(mutex,
                                      std::chrono::steady_clock::now() + limit.left_of_slice());
        if (rc != ETIMEDOUT) continue;
      }
    }
    if (judge.adopt(within_a_slice(limit)) == adoption::damaged) return native_result::damaged;
    looked = true;
    rc = native_mutex::try_lock(mutex);
  }
}

}  // namespace outlive::detail
