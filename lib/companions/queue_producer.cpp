// How a job gets into a queue. The protocol: docs/protocol.md, "Work queue", and
// docs/model/queue.pml and queue_order.pml; the rules J1 to J6: job_slots.hpp.
#include <algorithm>
#include <cstring>
#include <stop_token>
#include <string>
#include <thread>

#include <outlive/error.hpp>
#include <outlive/work_queue.hpp>

#include "companions/job_slots.hpp"
#include "companions/queue_party.hpp"
#include "companions/ring_position.hpp"
#include "companions/sleepers.hpp"
#include "companions/wait_word.hpp"
#include "error/failure.hpp"

namespace outlive::detail {

namespace {

// How many slots from tail on a producer tries before it scans all.
constexpr std::uint32_t near = 8;

enum class pushed : std::uint8_t { yes, no, closed };

[[gnu::noinline, gnu::cold, noreturn]] void refuse_closed() {
  fail(errc::queue_closed,
       "work queue: found it closed, expected an open one; reopen() lets jobs in again");
}

struct producer : party {
  using party::party;

  pushed push(const void* job, const deadline& until, const std::stop_token& stop) const {
    ring_position at(0);
    const bool acquired =
        acquire_next_slot(at) || acquire_near_slot(at) || wait_for_slot(at, until, stop);
    if (slots.is_closed()) [[unlikely]] {
      if (acquired) leave(at);
      return pushed::closed;
    }
    if (!acquired) return pushed::no;
    publish(at, job);
    return pushed::yes;
  }

 private:
  // Before this thread names itself in a slot: a change tells that consumers have passed one. The
  // exchange by which it does is a release: no count by a consumer that saw it is in here.
  const std::uint32_t overtaken = slots.queue.overtaken.load(std::memory_order_relaxed);

  // The slot at tail is mostly free. A look at it first would move its line twice.
  bool acquire_next_slot(ring_position& at) const noexcept {
    at = ring_position(slots.queue.tail.load(std::memory_order_seq_cst));
    return slots.exchange(at.slot(capacity()), {job_kind::free, 0},
                          {job_kind::filling, 0, me, at.lap()});
  }

  // Acquires one of the first `count` slots from tail on. Returns: whether it acquired one.
  bool acquire_slot(ring_position& at, std::uint32_t count, kernel_answers* kernel) const noexcept {
    at = ring_position(slots.queue.tail.load(std::memory_order_seq_cst));
    for (std::uint32_t i = 0; i < count; ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.read(slot);
      if (use_of(seen, kernel) == slot_use::vacant &&
          slots.exchange(slot, seen, {job_kind::filling, 0, me, at.lap()}))
        return true;
    }
    return false;
  }

  bool acquire_near_slot(ring_position& at) const noexcept {
    return acquire_slot(at, std::min(capacity(), near), nullptr);
  }

  // Also ends, with a slot or without one, when the queue is closed.
  // A function of its own, so that the quick way needs no stack for this.
  [[gnu::noinline]] bool wait_for_slot(ring_position& at, const deadline& until,
                                       const std::stop_token& stop) const noexcept {
    if (!until.waits()) return acquire_slot(at, capacity(), nullptr);
    if (look_quickly([&] { return acquire_near_slot(at); })) return true;
    for (int i = 0; i < yields; ++i) {
      std::this_thread::yield();
      if (acquire_near_slot(at)) return true;
    }
    const std::stop_callback wake(stop,
                                  [this]() noexcept { wait_word::wake_all(slots.queue.not_full); });
    const sleeping_for this_queue(*mine.map, *mine.record, &slots.queue);
    bool acquired = false;
    wait_word::until(
        slots.queue.not_full, until,
        [&](bool thoroughly) {
          kernel_answers answers;
          acquired = acquire_slot(at, capacity(), thoroughly ? &answers : nullptr);
          return acquired || slots.is_closed();
        },
        stop, [this] { see_plain_ends(); });
    return acquired;
  }

  // Releases a slot that was acquired after the queue had been closed, when all consumers may have
  // ended.
  void leave(ring_position at) const noexcept {
    const std::uint32_t slot = at.slot(capacity());
    slots.exchange(slot, {job_kind::filling, 0, me, at.lap()}, {job_kind::free, 0});
    slots.wake_at_the_end();
  }

  void publish(ring_position at, const void* job) const {
    const std::uint32_t slot = at.slot(capacity());
    const job_state filling(job_kind::filling, 0, me, at.lap());
    // A consumer may die before it has written its name. Then the history must not show a thread
    // that had another job.
    for (std::uint32_t i = 0; i < max_tries; ++i)
      slots.history(slot)[i].thread.store(0, std::memory_order_relaxed);
    std::memcpy(slots.job(slot), job, slots.shape.job_bytes);
    // Tail comes before the job: a thread that sees a job finds tail beyond it. Tail never falls
    // back. consumer::find_first() depends on both. Tail may be beyond this position already: this
    // thread was stopped before it had the slot, and consumers may have passed it.
    const ring_position next = at.next(capacity());
    std::uint64_t tail = slots.queue.tail.load(std::memory_order_seq_cst);
    const bool late = !ring_position(tail).is_before(next);
    while (ring_position(tail).is_before(next) &&
           !slots.queue.tail.compare_exchange_weak(tail, next.word(), std::memory_order_seq_cst)) {
    }
    // If consumers have passed this slot meanwhile, because this thread was stopped, the job is the
    // next one. Head itself would tell, but each look at it moves its line from a consumer.
    if ((late || is_overtaken()) && at.is_before(slots.head()))
      at = slots.position_before_head(slot);
    if (!slots.exchange(slot, filling, job_state::waiting(job_kind::ready, 0, at.lap()))) {
      fail(errc::damaged, "work queue: found state " + std::to_string(slots.read(slot).word()) +
                              " of slot " + std::to_string(slot) +
                              ", expected the one of the thread that fills it");
    }
    if (late || is_overtaken()) {
      slots.announce_job(at);
    } else {
      slots.wake_consumer();
    }
  }

  // In one order with the exchange to ready, and with a consumer's count and second look (J6).
  [[nodiscard]] bool is_overtaken() const noexcept {
    return slots.queue.overtaken.load(std::memory_order_seq_cst) != overtaken;
  }
};

[[gnu::always_inline]] inline bool push_into(work_queue_head& queue, const work_queue_shape& shape,
                                             const void* job, const deadline& until,
                                             const std::stop_token& stop) {
  attachment* const mine = attach_party(queue, until, stop);
  if (mine == nullptr) return false;
  const pushed how = producer(*mine, queue, shape).push(job, until, stop);
  if (how == pushed::closed) refuse_closed();
  return how == pushed::yes;
}

std::size_t push_several_into(work_queue_head& queue, const work_queue_shape& shape,
                              const void* jobs, std::size_t count, const deadline& until,
                              const std::stop_token& stop) {
  attachment* const mine = attach_party(queue, until, stop);
  if (mine == nullptr) return 0;
  const auto* next = static_cast<const char*>(jobs);
  for (std::size_t i = 0; i < count; ++i, next += shape.job_bytes) {
    const pushed how = producer(*mine, queue, shape).push(next, until, stop);
    if (how == pushed::yes) continue;
    if (how == pushed::closed && i == 0) refuse_closed();
    return i;
  }
  return count;
}

// A function of its own, so that a queue without a limit pays nothing.
[[gnu::noinline]] bool push_into_limited(work_queue_head& queue, const work_queue_shape& shape,
                                         const void* job, const deadline& until,
                                         const std::stop_token& stop) {
  require_limited(queue, shape);
  return push_into(queue, shape, job, until, stop);
}

}  // namespace

bool push_job(work_queue_head& queue, const work_queue_shape& shape, const void* job,
              const deadline& until, const std::stop_token& stop) {
  if (!has_no_limit(queue, shape)) [[unlikely]]
    return push_into_limited(queue, shape, job, until, stop);
  return push_into(queue, shape, job, until, stop);
}

std::size_t push_jobs(work_queue_head& queue, const work_queue_shape& shape, const void* jobs,
                      std::size_t count, const deadline& until, const std::stop_token& stop) {
  require_intact(queue, shape);
  return push_several_into(queue, shape, jobs, count, until, stop);
}

}  // namespace outlive::detail
