// The slots of a work queue: where they lie, what their states mean, and what is told to those who
// sleep. docs/protocol.md, "Work queue".
//
// J1  A slot belongs to whom its state names, for as long as that thread lives; its job and its
//     history are written by nobody else.
// J2  "Dead" never becomes false again for {record, generation}: so the exchange that takes a slot
//     over cannot rob the living, and of several that want it one succeeds.
// J3  The hints head and tail say where to begin, and nothing else. Who would say "none", or sleep,
//     looks at all slots.
// J4  Whoever makes a slot ready or free looks for sleepers afterwards; whoever sleeps has marked
//     that before a last look at all slots. Both in one order (seq_cst): one of the two sees the
//     other.
#pragma once

#include <cstdint>

#include <outlive/work_queue.hpp>

#include "companions/holder.hpp"
#include "companions/ring_position.hpp"
#include "format/job_state.hpp"

namespace outlive::detail {

struct job_slots {
  work_queue_head& queue;
  const work_queue_shape& shape;

  [[nodiscard]] shared_u64& state(std::uint32_t slot) const noexcept {
    return reinterpret_cast<shared_u64*>(reinterpret_cast<char*>(&queue) +
                                         sizeof(work_queue_head))[slot];
  }
  [[nodiscard]] char* job(std::uint32_t slot) const noexcept {
    constexpr std::uint64_t line = cache_line;
    const std::uint64_t first =
        sizeof(work_queue_head) + (shape.capacity * sizeof(shared_u64) + line - 1) / line * line;
    return reinterpret_cast<char*>(&queue) + first + std::uint64_t{slot} * shape.slot_bytes;
  }
  [[nodiscard]] job_try* history(std::uint32_t slot) const noexcept {
    return reinterpret_cast<job_try*>(job(slot) + shape.history_at);
  }

  [[nodiscard]] job_state look_at(std::uint32_t slot) const noexcept {
    return job_state(state(slot).load(std::memory_order_seq_cst));
  }
  // The one change that there is. The history and the job are written before it, or after it, by
  // whom it names.
  bool exchange(std::uint32_t slot, job_state from, job_state to) const noexcept {
    std::uint64_t expected = from.word();
    return state(slot).compare_exchange_strong(expected, to.word(), std::memory_order_seq_cst);
  }

  // The last position of the slot that is not after head. A job that becomes ready behind head gets
  // the lap of this position: with an older one, consumers could take it for one of the next round.
  [[nodiscard]] ring_position position_before_head(std::uint32_t slot) const noexcept {
    return ring_position(queue.head.load(std::memory_order_relaxed)).back_to(slot, shape.capacity);
  }
  // Lets consumers begin at that position at the latest, where a job is ready, and wakes one if
  // some sleep. A consumer that moves head at the same time may undo it. Then the job waits for the
  // next round, or until the queue is empty, at the latest.
  void announce_job(ring_position at) const noexcept;
  void wake_consumer() const noexcept;
  void wake_producer() const noexcept;
};

enum class slot_use : std::uint8_t {
  // may be filled
  vacant,
  // by the living
  filling,
  // a job that may be leased
  waiting,
  // by the living
  leased,
  // may be examined
  dead_letter,
  // by the living
  examined,
  // bytes that no version of this code wrote: the slot is left alone, and takes capacity
  unknown,
};
[[nodiscard]] slot_use use_of_held(const mapping& map, std::uint32_t max_tries, job_state state,
                                   kernel_answers* kernel) noexcept;
[[nodiscard]] inline slot_use use_of(const mapping& map, std::uint32_t max_tries, job_state state,
                                     kernel_answers* kernel) noexcept {
  // The most of a thousand slots that somebody looks at who finds none.
  if (state.word() == job_state(job_kind::free, 0).word()) return slot_use::vacant;
  if (state.word() == state.to(job_kind::ready, 0).word()) return slot_use::waiting;
  return use_of_held(map, max_tries, state, kernel);
}

[[nodiscard]] inline job_holder_id id_of(const attachment& mine) noexcept {
  return {mine.index + 1, generation_of(*mine.record, job_generation_mask)};
}

}  // namespace outlive::detail
