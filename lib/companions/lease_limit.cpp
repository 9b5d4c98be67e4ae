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

bool is_over(const mapping& map, const job_slots& slots, std::uint32_t slot, job_state leased,
             kernel_answers* kernel, std::uint64_t& next) noexcept {
  const lease_clock clock(slots.time(slot).load(std::memory_order_acquire));
  if (!clock.is_of(leased)) return false;
  if (clock.is_claimed()) {
    const job_holder_id by = clock.claimer();
    return is_dead_holder(map, by.index_plus_1, by.generation, job_generation_mask, kernel);
  }
  if (clock.time() <= monotonic_now()) return true;
  next = std::min(next, clock.time());
  return false;
}

bool may_take_over(const mapping& map, const job_slots& slots, std::uint32_t slot, job_state leased,
                   kernel_answers* kernel, job_holder_id me) noexcept {
  const job_holder_id holder = leased.holder();
  if (is_dead_holder(map, holder.index_plus_1, holder.generation, job_generation_mask, kernel))
    return true;
  std::uint64_t seen = slots.time(slot).load(std::memory_order_acquire), next = 0;
  if (!is_over(map, slots, slot, leased, kernel, next)) return false;
  // If the word has changed since, this fails: no word comes twice.
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
