// The time limit of leases. docs/protocol.md, "Leases with a time limit", and
// docs/model/queue_limit.pml.
//
// A thread whose lease is over lives, and may go on at any time, perhaps after it was stopped. So
// J1 and J2 need a second word: the slot's time (format/lease_clock.hpp). In a queue with a limit:
//
// L1  The holder starts the clock as the last store of its pop. Until then it alone changes the
//     slot. Afterwards it stores nothing there before it has stopped the clock by an exchange from
//     the very word that it had started. While that word is in the slot the state stays the same,
//     but for who takes over from a dead holder. A word that is over never comes again with another
//     state: later leases are over later, and a thread that takes what was handed over starts a
//     word of its own, a nanosecond later than the giver's.
// L2  A thread that finds the time over claims the lease first, by an exchange of that same word.
//     Of the two exchanges one succeeds. So the holder of a claimed lease changes nothing any more,
//     and the state stays as it is until the claimer, or who takes over from the dead holder or
//     from a dead claimer, changes it. Without the claim, the state could be the same word again by
//     then, of a later lease. For the same reason the claimer reads in this order: what time it is,
//     the clock, the state. If its exchange succeeds, the clock was in the slot when it read the
//     state, so the claim is of that state's lease. After that its exchange of the state fails only
//     if the holder has died, and another thread took its job over. That thread overwrites the
//     claim, or its heir does: no claim of a living thread stays in a slot without its job.
// L3  While a slot is not leased no clock of a try is in it, and a job that is handed out again is
//     at a later try: what an earlier lease left there counts for none.
// L4  Before a clock is started over a claim, the try that the claim ended is marked so in the
//     history. So it is no death, whoever dies in between.
// L5  A thread that is stopped inside pop(), give_back(), done() and the like is not timed.
//
// The holder keeps what it needs in its own memory: the clock's word, and the job. The job in the
// slot may be another one once the lease is over.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>

#include <outlive/job_lease.hpp>

#include "companions/job_slots.hpp"

namespace outlive::detail {

// What a lease with a limit has instead of a shape and a state (held_job). The job follows, aligned
// as in a slot.
struct timed_lease : work_queue_shape {
  std::uint64_t state = 0;
  std::uint64_t clock = 0;
  std::uint64_t first = 0;  // of who took the lease: its clocks are later than those of the giver

  explicit timed_lease(const work_queue_shape& of) noexcept : work_queue_shape(of) {}
  [[nodiscard]] char* job() noexcept {
    const auto end = reinterpret_cast<std::uintptr_t>(this + 1);
    return reinterpret_cast<char*>(this + 1) + (cache_line - end % cache_line) % cache_line;
  }
};
struct timed_lease_end {
  void operator()(timed_lease* lease) const noexcept;
};
using timed_lease_ptr = std::unique_ptr<timed_lease, timed_lease_end>;

// Returns: room for a lease; nullptr without memory.
timed_lease_ptr make_timed_lease(const work_queue_shape& shape) noexcept;

inline bool is_timed(const held_job& job) noexcept {
  return job.state == 0;
}
// Requires: is_timed().
inline timed_lease& timed(const held_job& job) noexcept {
  return const_cast<timed_lease&>(static_cast<const timed_lease&>(*job.shape));
}
// The value of the slot's word while the job is this thread's.
inline job_state state_of(const held_job& job) noexcept {
  return job_state(is_timed(job) ? timed(job).state : job.state);
}

// A lease that was popped just now, with a copy of its job; its clock runs (L1).
held_job begin_timed(const held_job& popped, timed_lease_ptr room) noexcept;
// Returns: whether the lease was not over, or nobody had noticed. Then its slot is the caller's
//   again, without a clock. Requires: the caller is the holder, or has what it handed over.
bool stop_clock(const held_job& job) noexcept;
// Requires: the slot is the caller's, by stop_clock().
void start_clock_again(const held_job& job) noexcept;
// The same for a thread that has taken the lease, and whose state the slot has now: another clock.
void start_clock_of_taker(const held_job& job, job_state now) noexcept;

// Whether the lease of a living thread is over. If not, `next` becomes the time when it will be, if
// that is sooner. `kernel` as in is_dead_holder().
bool is_over(const mapping& map, const job_slots& slots, std::uint32_t slot, job_state leased,
             kernel_answers* kernel, std::uint64_t& next) noexcept;

// The use of a slot in a queue with or without a limit.
inline slot_use use_at(const mapping& map, std::uint32_t max_tries, const job_slots& slots,
                       std::uint32_t slot, job_state state, kernel_answers* kernel,
                       std::uint64_t& next) noexcept {
  const slot_use use = use_of(map, max_tries, state, kernel);
  if (use != slot_use::leased || !slots.has_limit() ||
      !is_over(map, slots, slot, state, kernel, next))
    return use;
  return state.tries() < max_tries ? slot_use::waiting : slot_use::dead_letter;
}

// How long a thread may sleep that waits for a job: not longer than a lease lasts, because it has
// not seen those that begin meanwhile. But for a millisecond, so that no limit keeps it awake.
inline std::chrono::nanoseconds longest_nap(const job_slots& slots) noexcept {
  constexpr std::uint64_t least = 1'000'000;
  return slots.has_limit()
             ? std::chrono::nanoseconds(std::clamp(slots.queue.lease_limit, least, max_lease_limit))
             : std::chrono::nanoseconds::max();
}

// Before a leased slot's state is exchanged (L2). Returns: whether its holder is dead, or the lease
// is over and this thread has claimed it.
bool may_take_over(const mapping& map, const job_slots& slots, std::uint32_t slot, job_state leased,
                   kernel_answers* kernel, job_holder_id me) noexcept;
// Marks the try that was claimed, if one was (L4). Returns: whether that is `tries`. Requires: the
// slot is the calling thread's.
bool mark_ended_try(const job_slots& slots, std::uint32_t slot, std::uint32_t tries) noexcept;

}  // namespace outlive::detail
