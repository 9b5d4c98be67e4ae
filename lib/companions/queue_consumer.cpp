// How a job is leased. The protocol: docs/protocol.md, "Work queue", and docs/model/queue.pml and
// queue_order.pml; the rules J1 to J6: job_slots.hpp.
#include <algorithm>
#include <chrono>
#include <new>
#include <stop_token>
#include <thread>
#include <utility>

#include <outlive/work_queue.hpp>

#include "companions/job_slots.hpp"
#include "companions/lease_limit.hpp"
#include "companions/queue_party.hpp"
#include "companions/ring_position.hpp"
#include "companions/sleepers.hpp"
#include "companions/wait_word.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

namespace {

struct consumer : party {
  using party::party;

  // The next time at which a delayed job becomes due, or a lease is over, as the last look at all
  // slots found it.
  mutable std::uint64_t next_due = ~std::uint64_t{0};

  // Leases the first job in the order of positions, from head to tail. The jobs of one producer are
  // in order there: tail never falls back, so each has a later position than the one before. And
  // they are leased in order: find_first() looks at a tail first, and minds no job beyond it. A
  // producer that has a job before that tail had read an older one, after it had published all its
  // jobs before. So these are all seen. (The accesses to tail and to the states are in one order.)
  bool lease_near(held_job& got) const noexcept {
    return lease_at_head(got) || lease_from_head(got);
  }

  // Leases the job at head, if it is one of this round. Tail would not tell more: the job is there,
  // so tail is beyond it. And a look at tail moves its line from a producer.
  [[gnu::always_inline]] bool lease_at_head(held_job& got) const noexcept {
    const ring_position head = slots.head();
    const std::uint32_t slot = head.slot(capacity());
    const job_state seen = slots.read(slot);
    // Head once more: its producer may have pulled it back to an older job before it pushed this.
    if (seen.kind() != job_kind::ready || seen.waiting_lap() != head.lap() ||
        slots.head().word() != head.word() || !lease_job(got, slot, seen, nullptr))
      return false;
    move_head(head);
    return true;
  }

  [[gnu::noinline]] bool lease_from_head(held_job& got) const noexcept {
    for (;;) {
      const ring_position tail(slots.queue.tail.load(std::memory_order_seq_cst));
      const ring_position head = slots.head();
      const found_job first = find_first(head, tail);
      if (!first.found) return false;
      // Otherwise another thread has leased it. The next one need not be the next of all.
      if (!lease_job(got, first.at.slot(capacity()), first.state, nullptr)) continue;
      move_head_over(head, first);
      return true;
    }
  }

  // Looks at all slots: head may have passed the jobs of dead workers, and a lost hint may hide
  // others. When it finds one, it looks near head first: an older job may have been pushed
  // meanwhile into a slot that this thread had already seen.
  bool lease_any(held_job& got, bool thoroughly) const noexcept {
    kernel_answers answers;
    kernel_answers* const kernel = thoroughly ? &answers : nullptr;
    ring_position at = start();
    next_due = ~std::uint64_t{0};
    for (std::uint32_t i = 0; i < capacity(); ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      if (may_lease(slot, slots.read(slot), kernel) &&
          (lease_near(got) || lease_job(got, slot, slots.read(slot), kernel)))
        return true;
    }
    return false;
  }

  // How long a thread may sleep that found no job: to the time of a delayed one, or to the end of a
  // lease. Not longer than a lease lasts: it has not seen those that begin meanwhile.
  [[nodiscard]] std::chrono::nanoseconds time_to_next() const noexcept {
    const std::chrono::nanoseconds longest = longest_nap(slots);
    if (next_due == ~std::uint64_t{0}) return longest;
    const std::uint64_t now = monotonic_now();
    return std::min(longest, std::chrono::nanoseconds(next_due > now ? next_due - now : 0));
  }

  [[gnu::noinline]] bool wait_for_job(held_job& got, const deadline& until,
                                      const std::stop_token& stop) const noexcept {
    if (!until.waits()) return lease_any(got, false);
    if (look_quickly([&] { return lease_at_head(got); })) return true;
    for (int i = 0; i < yields; ++i) {
      std::this_thread::yield();
      if (lease_near(got)) return true;
    }
    const std::stop_callback wake(
        stop, [this]() noexcept { wait_word::wake_all(slots.queue.not_empty); });
    const sleeping_for this_queue(*mine.map, *mine.record, &slots.queue);
    wait_word::until(
        slots.queue.not_empty, until,
        [&](bool thoroughly) { return lease_any(got, thoroughly) || is_at_its_end(thoroughly); },
        stop,
        [this] {
          if (slots.is_closed()) see_plain_ends();
        },
        [this] { return time_to_next(); });
    return got.queue != nullptr;
  }

  bool find_dead_letter(held_job& got) const noexcept {
    kernel_answers kernel;
    ring_position at = start();
    for (std::uint32_t i = 0; i < capacity(); ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.read(slot);
      if (use_at(slot, seen, &kernel) != slot_use::dead_letter) continue;
      if (!acquire_job(got, slot, seen, seen.to(job_kind::examined, seen.tries(), me), &kernel))
        continue;
      if (slots.has_limit()) {
        mark_ended_try(slots, slot, seen.tries());  // its former examiner may have died before
        slots.time(slot).store(0, std::memory_order_relaxed);  // L3
      }
      return true;
    }
    return false;
  }

 private:
  struct found_job {
    bool found = false;
    ring_position at{0};
    job_state state{0};
    bool passes_a_producer = false;
  };

  // The first of the jobs that wait at positions before `to`, of those in the slots of the
  // positions from `from` to `to`. The position of a job is in its state. It may be one of a later
  // round than its slot's in this scan: producers skip slots in use, and come back. While jobs are
  // held, the rounds of the others are up to capacity() apart. So the scan goes through all slots,
  // but once.
  // A job may also be older than `from`: head has passed it. It is the first then.
  found_job find_first(ring_position from, ring_position to) const noexcept {
    found_job first;
    ring_position at = from;
    for (std::uint32_t i = 0; at.is_before(to) && i < capacity(); ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.read(slot);
      if (!may_lease(slot, seen, nullptr)) {
        first.passes_a_producer |= seen.kind() == job_kind::filling;
        continue;
      }
      // A dead worker's job has no position any more. It is older than those after it.
      const ring_position its = seen.is_waiting() ? ring_position(seen.waiting_lap(), slot) : at;
      if (!its.is_before(to) || (first.found && !its.is_before(first.at))) continue;
      first.found = true;
      first.at = its;
      first.state = seen;
      if (!at.is_before(its)) break;  // the slots after this one have none before it
    }
    return first;
  }

  // Behind a job that is not the one at head (J6).
  void move_head_over(ring_position head, const found_job& job) const noexcept {
    if (job.at.is_before(head)) return;
    // A producer looks at this between P2 and head.
    if (job.passes_a_producer) slots.queue.overtaken.fetch_add(1, std::memory_order_seq_cst);
    std::uint64_t expected = head.word();
    if (!slots.queue.head.compare_exchange_strong(expected, job.at.next(capacity()).word(),
                                                  std::memory_order_seq_cst))
      return;  // another thread has moved head, or pulled it back
    const found_job passed = find_first(head, job.at);
    if (passed.found) slots.pull_head_back(passed.at);
  }

  // Behind the job at head. Not if another thread has moved head since: it may have pulled it back.
  void move_head(ring_position head) const noexcept {
    if (slots.head().word() == head.word())
      slots.queue.head.store(head.next(capacity()).word(), std::memory_order_relaxed);
  }

  // Returns: whether the queue is closed and no job can come any more (J5).
  [[nodiscard]] bool is_at_its_end(bool thoroughly) const noexcept {
    if (!slots.is_closed()) return false;
    kernel_answers answers;
    kernel_answers* const kernel = thoroughly ? &answers : nullptr;
    for (std::uint32_t slot = 0; slot < capacity(); ++slot) {
      switch (use_at(slot, slots.read(slot), kernel)) {
        case slot_use::filling:
        case slot_use::waiting:
        case slot_use::delayed:
        case slot_use::leased: return false;
        case slot_use::vacant:
        case slot_use::dead_letter:
        case slot_use::examined:
        case slot_use::unknown: break;
      }
    }
    return true;
  }

  // Where to begin. A head beyond tail is damage.
  [[nodiscard]] ring_position start() const noexcept {
    const ring_position head = slots.head();
    const ring_position tail(slots.queue.tail.load(std::memory_order_relaxed));
    if (!tail.is_before(head)) return head;
    slots.queue.head.store(tail.word(), std::memory_order_relaxed);
    return tail;
  }

  [[nodiscard]] slot_use use_at(std::uint32_t slot, job_state seen,
                                kernel_answers* kernel) const noexcept {
    return detail::use_at(*mine.map, max_tries, slots, slot, seen, kernel, next_due);
  }
  [[nodiscard]] bool may_lease(std::uint32_t slot, job_state seen,
                               kernel_answers* kernel) const noexcept {
    return seen.is_untried() || may_lease_again(slot, seen, kernel);
  }
  // Out of line, so that the quick way needs no registers for it.
  [[gnu::noinline]] bool may_lease_again(std::uint32_t slot, job_state seen,
                                         kernel_answers* kernel) const noexcept {
    const slot_use use = use_at(slot, seen, kernel);
    return use == slot_use::waiting || (use == slot_use::delayed && is_due(slot));
  }
  bool is_due(std::uint32_t slot) const noexcept {
    const std::uint64_t time = slots.time(slot).load(std::memory_order_relaxed);
    if (time <= monotonic_now()) return true;
    next_due = std::min(next_due, time);
    return false;
  }

  // Returns: whether the job could be leased.
  [[gnu::always_inline]] bool lease_job(held_job& got, std::uint32_t slot, job_state seen,
                                        kernel_answers* kernel) const noexcept {
    return may_lease(slot, seen, kernel) &&
           acquire_job(got, slot, seen, seen.to(job_kind::leased, seen.tries() + 1, me), kernel);
  }

  // If this thread dies after the exchange and before it has written all of this, the next holder
  // records it, as long as the record is not reused.
  [[gnu::always_inline]] bool acquire_job(held_job& got, std::uint32_t slot, job_state seen,
                                          job_state now, kernel_answers* kernel) const noexcept {
    if (seen.kind() == job_kind::leased && slots.has_limit() &&
        !may_take_over(*mine.map, slots, slot, seen, kernel, me))
      return false;
    if (!slots.exchange(slot, seen, now)) return false;
    // The time may be another one by now: since is_due() read it, a thread may have leased the job,
    // and given it back in the same state. Only a holder writes it, so this look is the valid one.
    if (seen.kind() == job_kind::delayed && !is_due(slot)) {
      slots.exchange(slot, now, seen);
      slots.wake_consumer();  // which may have seen it leased
      return false;
    }
    ++mine.named_by;
    if (seen.kind() == job_kind::leased) record_former_holder(slot, seen);
    if (now.kind() == job_kind::leased) slots.record_holder(slot, now.tries(), *mine.record);
    got.queue = &slots.queue;
    got.shape = &slots.shape;
    got.slot = slot;
    got.state = now.word();
    return true;
  }

  // It is dead, or its lease was claimed.
  void record_former_holder(std::uint32_t slot, job_state seen) const noexcept {
    if (slots.has_limit() && mark_ended_try(slots, slot, seen.tries())) return;
    record_dead_holder(slot, seen);
  }

  void record_dead_holder(std::uint32_t slot, job_state seen) const noexcept {
    job_try& entry = slots.history(slot)[seen.tries() - 1];
    const thread_record& record =
        mine.map->record(static_cast<std::uint32_t>(seen.holder().index_plus_1 - 1));
    const std::uint64_t thread = thread_of(record),
                        start_time = record.start_time.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (generation_of(record, job_generation_mask) == seen.holder().generation) {
      entry.start_time.store(start_time, std::memory_order_relaxed);
      crash_barrier();
      entry.thread.store(thread, std::memory_order_relaxed);
    } else if (entry.thread.load(std::memory_order_relaxed) == gave_back) {
      entry.thread.store(
          0, std::memory_order_relaxed);  // the thread died before it had returned the job
    }
  }
};

// A function of its own, so that a queue without a limit pays nothing.
[[gnu::noinline, gnu::cold]] held_job pop_limited(work_queue_head& queue,
                                                  const work_queue_shape& shape,
                                                  const deadline& until,
                                                  const std::stop_token& stop) {
  require_limited(queue, shape);
  auto room = make_timed_lease(shape);
  if (room == nullptr) throw std::bad_alloc();
  held_job got;
  attachment* const mine = attach_party(queue, until, stop);
  if (mine == nullptr) return got;
  const consumer thread(*mine, queue, shape);
  if (!thread.lease_near(got)) thread.wait_for_job(got, until, stop);
  return got.queue == nullptr ? got : begin_timed(got, std::move(room));
}

[[gnu::noinline, gnu::cold]] held_job pop_next_limited(attachment& mine, work_queue_head& queue,
                                                       const work_queue_shape& shape) noexcept {
  held_job got;
  auto room = make_timed_lease(shape);
  if (room == nullptr || !consumer(mine, queue, shape).lease_near(got)) return got;
  return begin_timed(got, std::move(room));
}

}  // namespace

held_job pop_job(work_queue_head& queue, const work_queue_shape& shape, const deadline& until,
                 const std::stop_token& stop) {
  if (!has_no_limit(queue, shape)) [[unlikely]]
    return pop_limited(queue, shape, until, stop);
  held_job got;
  attachment* const mine = attach_party(queue, until, stop);
  if (mine == nullptr) return got;
  const consumer thread(*mine, queue, shape);
  if (!thread.lease_near(got)) thread.wait_for_job(got, until, stop);
  return got;
}

held_job pop_next_job(work_queue_head& queue, const work_queue_shape& shape) noexcept {
  held_job got;
  attachment* const mine = attached_caller(&queue);
  if (mine == nullptr) return got;
  if (queue.magic == limited_work_queue_magic) [[unlikely]]
    return pop_next_limited(*mine, queue, shape);
  consumer(*mine, queue, shape).lease_near(got);
  return got;
}

held_job pop_dead_job(work_queue_head& queue, const work_queue_shape& shape) {
  require_intact(queue, shape);
  held_job got;
  if (attachment* const mine = attach_party(queue, no_wait))
    consumer(*mine, queue, shape).find_dead_letter(got);
  return got;
}

}  // namespace outlive::detail
