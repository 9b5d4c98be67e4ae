// turns: memory that the scheduler shares with the processes that take turns, and the log of what
// they do.
//
// One process runs at a time. It stops where it may be preempted, writes here why, and sleeps until
// the scheduler lets it go on. So nothing here is written by two at a time, and the log has one
// order. `stopped` and `go` hand the turn over, with release and acquire.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "killtest/process/unwind.hpp"

namespace outlive::killtest::detail {

inline constexpr std::size_t max_scheduled = 8;        // threads of a scenario
inline constexpr std::size_t max_points = 128 * 1024;  // of one run
inline constexpr std::size_t max_noted_locks = 64;     // of one thread
inline constexpr std::uint32_t to_its_end = ~std::uint32_t{0};
inline constexpr std::uint64_t no_word = ~std::uint64_t{0};
inline constexpr std::int64_t no_deadline = INT64_MAX;

enum class point_kind : std::uint8_t {
  load,
  store,
  atomic,  // an atomic read-modify-write: how locks are acquired and released
  call,    // of the kernel: futex, sleep, yield
};

// Right before this, the thread may be preempted, and may die.
struct logged_point {
  std::uint32_t offset;  // into the segment; of a call without a word in it: no_offset
  std::uint32_t index;   // how many points of its thread came before it
  std::uint8_t size;     // at most so many bytes
  std::uint8_t thread;
  point_kind kind;
  bool is_first;  // false: another access of the instruction at the entry before
};
inline constexpr std::uint32_t no_offset = ~std::uint32_t{0};

enum class stop_reason : std::uint32_t {
  ready,     // it has set itself up
  paused,    // at the point that the scheduler asked for
  waits,     // in a futex call or a sleep
  wakes,     // it calls futex(FUTEX_WAKE)
  yields,    // sched_yield()
  ends,      // it has come to its end
  dies,      // it is about to kill itself
  too_long,  // no room in the log
  unknown_call,
};

struct scheduled_turn {
  // From the scheduler.
  std::atomic<std::uint32_t> go;
  std::uint32_t until;  // the point to stop at
  bool dies;            // there; or now, if it waits
  std::int64_t result;  // of the call that it stopped in

  // To the scheduler.
  stop_reason why;
  std::uint32_t points;   // so far
  std::uint64_t word;     // of a call: the offset, or no_word
  std::int64_t deadline;  // of a wait
  std::uint32_t count;    // of a wake; the operation of an unknown call
  std::uint32_t held_count;
  std::uint64_t held[max_noted_locks];  // on its robust list, without the pending one
  std::uint64_t pending;                // no_word: none
  std::uint32_t stack_size;
  std::uintptr_t stack[max_frames];
};

struct turns {
  std::atomic<std::uint32_t> stopped;
  std::int64_t now;  // the virtual time, in nanoseconds
  std::uint32_t point_count;
  std::uint32_t most_points;  // of this run
  std::uint32_t alive;        // bits: who can hold a lock
  bool with_stacks;  // whether who stops writes its stack: that takes as long as many accesses
  // A lock that two threads have at once; no_word: none.
  std::uint64_t shared_lock;
  std::uint32_t sharers[2];
  scheduled_turn of[max_scheduled];
  logged_point points[max_points];
};

}  // namespace outlive::killtest::detail
