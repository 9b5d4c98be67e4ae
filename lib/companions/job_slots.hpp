// The slots of a work queue: where they lie, what their states mean, and how sleepers are woken.
// docs/protocol.md, "Work queue".
//
// J1  A slot belongs to the thread that its state names, as long as that thread lives. No other
//     thread writes its job and its history. (With a time limit: lease_limit.hpp.)
// J2  "Dead" never becomes false again for {record, generation}. So the exchange that takes a slot
//     over never takes it from a living thread, and of several that try it one succeeds.
// J3  The hints head and tail say only where to begin. A thread looks at all slots before it
//     reports "none" or sleeps.
// J4  A thread that makes a slot ready or free looks for sleepers afterwards. A thread that sleeps
//     has set its mark before a last look at all slots. All of this is in one order (seq_cst), so
//     one of the two sees the other. done() may be a plain store: then the threads that sleep for
//     it, producers and the consumers of a closed queue, supply the fence by membarrier between
//     mark and look. Consumers sleep too often for that, so publishing stays an exchange.
// J5  A producer looks whether the queue is closed when it has a slot. A consumer that finds it
//     closed looks at all slots afterwards. This is in one order (seq_cst), too: a consumer that
//     ends has missed no job.
// J6  Head passes no job that waits. A consumer that moves head over other slots looks at them
//     again afterwards. A thread that makes a job ready looks at head afterwards; a producer only
//     if a consumer has counted that it passed one (`overtaken`), or if tail was beyond its slot
//     already. All of this is in one order (seq_cst), so one of the two sees the other and pulls
//     head back. One case is left: the consumer of the job at head stores head plainly. If it is
//     stopped before the store, it may undo a pull. Then the job waits for the next round, or until
//     the queue is empty, at the latest.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <outlive/work_queue.hpp>

#include "companions/holder.hpp"
#include "companions/ring_position.hpp"
#include "format/job_state.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

// A thread as the history has it.
[[nodiscard]] inline std::uint64_t thread_of(const thread_record& record) noexcept {
  return std::uint64_t{record.pid.load(std::memory_order_relaxed)} << 32 |
         record.tid.load(std::memory_order_relaxed);
}

struct job_slots {
  work_queue_head& queue;
  const work_queue_shape& shape;

  [[nodiscard]] char* job(std::uint32_t slot) const noexcept {
    return reinterpret_cast<char*>(&queue) + sizeof(work_queue_head) +
           std::uint64_t{slot} * shape.slot_bytes;
  }
  [[nodiscard]] shared_u64& state(std::uint32_t slot) const noexcept {
    return *reinterpret_cast<shared_u64*>(job(slot) + shape.state_at);
  }
  [[nodiscard]] job_try* history(std::uint32_t slot) const noexcept {
    return reinterpret_cast<job_try*>(job(slot) + shape.state_at + sizeof(shared_u64));
  }
  [[nodiscard]] shared_u64& time(std::uint32_t slot) const noexcept {
    return *reinterpret_cast<shared_u64*>(history(slot) + max_job_tries);
  }

  // Whether leases have a time limit.
  [[nodiscard]] bool has_limit() const noexcept { return queue.magic == limited_work_queue_magic; }
  // Where consumers begin to look.
  [[nodiscard]] ring_position head() const noexcept {
    return ring_position(queue.head.load(std::memory_order_relaxed));
  }
  [[nodiscard]] bool is_closed() const noexcept {
    return queue.closed.load(std::memory_order_seq_cst) != 0;
  }
  [[nodiscard]] job_state read(std::uint32_t slot) const noexcept {
    return job_state(state(slot).load(std::memory_order_seq_cst));
  }
  // The only change of a slot. The thread that the state names writes the history and the job
  // before it or after it.
  bool exchange(std::uint32_t slot, job_state from, job_state to) const noexcept {
    std::uint64_t expected = from.word();
    return state(slot).compare_exchange_strong(expected, to.word(), std::memory_order_seq_cst);
  }

  // Writes into the history that the thread of the record has the job, at that try. Requires: it is
  // the calling thread, and the slot is its own.
  void record_holder(std::uint32_t slot, std::uint32_t tries,
                     const thread_record& record) const noexcept {
    job_try& entry = history(slot)[tries - 1];
    entry.start_time.store(record.start_time.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
    crash_barrier();  // the whole entry comes before the thread that makes it count
    entry.thread.store(thread_of(record), std::memory_order_relaxed);
  }

  // The last position of the slot that is before head. A job that becomes ready behind head gets
  // it, and is the next one. Not head's own position: that may be tail, where consumers stop.
  [[nodiscard]] ring_position position_before_head(std::uint32_t slot) const noexcept {
    return head().back_to(slot, shape.capacity);
  }
  // Lets consumers begin at that position at the latest, where a job is ready (J6).
  void pull_head_back(ring_position at) const noexcept;
  // The same, and wakes one if some sleep.
  void announce_job(ring_position at) const noexcept;
  void wake_consumer() const noexcept;
  // Wakes all consumers of a closed queue: a job has left it, and may have been the last one.
  void wake_at_the_end() const noexcept;
  void wake_producer() const noexcept;
};

// The shape of a queue that is read without its type, which has the numbers otherwise. Every byte
// may be damaged or changing. Returns: nothing if there is no queue, or it needs more than `room`
// bytes.
[[nodiscard]] std::optional<work_queue_shape> find_shape(const work_queue_head& queue,
                                                         std::uint64_t room) noexcept;

enum class slot_use : std::uint8_t {
  vacant,       // may be filled
  filling,      // by a living thread
  waiting,      // a job that may be leased
  delayed,      // a job that may be leased when its time has come
  leased,       // by a living thread
  dead_letter,  // may be examined
  examined,     // by a living thread
  unknown,      // no version of this code wrote these bytes: the slot is skipped
};
[[nodiscard]] slot_use use_of_held(const mapping& map, std::uint32_t max_tries, job_state state,
                                   kernel_answers* kernel) noexcept;
[[nodiscard]] inline slot_use use_of(const mapping& map, std::uint32_t max_tries, job_state state,
                                     kernel_answers* kernel) noexcept {
  // Most slots are one of these when a thread looks at a thousand and finds nothing.
  if (state.word() == job_state(job_kind::free, 0).word()) return slot_use::vacant;
  if (state.is_untried()) return slot_use::waiting;
  return use_of_held(map, max_tries, state, kernel);
}

// ns of CLOCK_MONOTONIC, which all processes of a segment share.
[[nodiscard]] inline std::uint64_t monotonic_now() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

[[nodiscard]] inline job_holder_id id_of(const attachment& mine) noexcept {
  return {mine.index + 1, generation_of(*mine.record, job_generation_mask)};
}

}  // namespace outlive::detail
