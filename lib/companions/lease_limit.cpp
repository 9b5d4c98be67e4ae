#include "companions/lease_limit.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>

#include "format/lease_clock.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

void timed_lease_end::operator()(timed_lease* lease) const noexcept {
  lease->~timed_lease();
  ::operator delete(lease);
}

timed_lease_ptr make_timed_lease(const work_queue_shape& shape) noexcept {
  // Not as aligned memory, which malloc makes much more slowly.
  const std::size_t bytes = sizeof(timed_lease) + cache_line - 1 + shape.job_bytes;
  void* const room = ::operator new(bytes, std::nothrow);
  return timed_lease_ptr(room == nullptr ? nullptr : new (room) timed_lease(shape));
}

held_job begin_timed(const held_job& popped, timed_lease_ptr room) noexcept {
  const job_slots slots{*popped.queue, *popped.shape};
  const job_state state(popped.state);
  room->state = popped.state;
  std::memcpy(room->job(), slots.job(popped.slot), popped.shape->job_bytes);
  room->clock =
      lease_clock::running(state.tries(), monotonic_now() + popped.queue->lease_limit).word();
  crash_barrier();  // all that this thread stores in the slot comes before its clock (L1)
  // release: pairs with the exchange of who claims it
  slots.time(popped.slot).store(room->clock, std::memory_order_release);
  return {popped.queue, room.release(), popped.slot, 0};
}

bool stop_clock(const held_job& job) noexcept {
  const job_slots slots{*job.queue, *job.shape};
  std::uint64_t expected = timed(job).clock;
  return slots.time(job.slot).compare_exchange_strong(expected, 0, std::memory_order_seq_cst);
}

void start_clock_again(const held_job& job) noexcept {
  crash_barrier();  // as in begin_timed()
  job_slots{*job.queue, *job.shape}.time(job.slot).store(timed(job).clock,
                                                         std::memory_order_release);
}

void start_clock_of_taker(const held_job& job, job_state now) noexcept {
  timed_lease& lease = timed(job);
  const std::uint64_t was = lease_clock(lease.clock).time();
  lease.state = now.word();
  lease.clock = lease_clock::running(now.tries(), was + 1).word();
  lease.first = std::min(was, monotonic_now()) + 1;
  start_clock_again(job);
}

namespace {

// Whether the clock says at `now` that the lease of that state is over. `next` as for is_over().
bool says_over(const mapping& map, lease_clock clock, job_state leased, std::uint64_t now,
               kernel_answers* kernel, std::uint64_t& next) noexcept {
  if (!clock.is_of(leased)) return false;
  if (clock.is_claimed()) {
    const job_holder_id by = clock.claimer();
    return is_dead_holder(map, by.index_plus_1, by.generation, job_generation_mask, kernel);
  }
  if (clock.time() <= now) return true;
  next = std::min(next, clock.time());
  return false;
}

}  // namespace

bool is_over(const mapping& map, const job_slots& slots, std::uint32_t slot, job_state leased,
             kernel_answers* kernel, std::uint64_t& next) noexcept {
  const lease_clock clock(slots.time(slot).load(std::memory_order_acquire));
  return says_over(map, clock, leased, monotonic_now(), kernel, next);
}

bool may_take_over(const mapping& map, const job_slots& slots, std::uint32_t slot, job_state leased,
                   kernel_answers* kernel, job_holder_id me) noexcept {
  const job_holder_id holder = leased.holder();
  if (is_dead_holder(map, holder.index_plus_1, holder.generation, job_generation_mask, kernel))
    return true;
  // The order is L2's. The caller may have read `leased` long ago, and the lease may have ended
  // since: a clock that is over now may be of a later lease, even of one at the same try.
  const std::uint64_t now = monotonic_now();
  std::uint64_t seen = slots.time(slot).load(std::memory_order_acquire), next = 0;
  if (!says_over(map, lease_clock(seen), leased, now, kernel, next)) return false;
  if (slots.read(slot).word() != leased.word()) return false;
  return slots.time(slot).compare_exchange_strong(
      seen, lease_clock::claimed(leased.tries(), me).word(), std::memory_order_seq_cst);
}

bool mark_ended_try(const job_slots& slots, std::uint32_t slot, std::uint32_t tries) noexcept {
  const lease_clock clock(slots.time(slot).load(std::memory_order_relaxed));
  if (!clock.is_claimed() || clock.tries() - 1 >= max_job_tries) return false;
  shared_u64& thread = slots.history(slot)[clock.tries() - 1].thread;
  thread.store(thread.load(std::memory_order_relaxed) | lease_ended, std::memory_order_relaxed);
  crash_barrier();  // before the clock that replaces the claim
  return clock.tries() == tries;
}

}  // namespace outlive::detail
