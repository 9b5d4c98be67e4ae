// Producers and consumers. The protocol: docs/protocol.md, "Work queue", and docs/model/queue.pml;
// the rules J1 to J4: job_slots.hpp.
#include <outlive/work_queue.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>

#include <outlive/error.hpp>

#include "companions/job_slots.hpp"
#include "companions/ring_position.hpp"
#include "companions/wait_word.hpp"
#include "directory/directory.hpp"
#include "error/failure.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

namespace {

static_assert(sizeof(work_queue_head) == sizeof(work_queue_bytes) &&
              alignof(work_queue_head) == alignof(work_queue_bytes));
static_assert(offsetof(work_queue_head, job_bytes) == offsetof(work_queue_bytes, job_bytes));
static_assert(offsetof(work_queue_head, not_empty) == offsetof(work_queue_bytes, not_empty));
static_assert(offsetof(work_queue_head, tail) == offsetof(work_queue_bytes, tail));
// head, states, slots
static_assert(sizeof(work_queue<long, 9>) ==
              sizeof(work_queue_bytes) + 2 * cache_line + 9 * 3 * cache_line);

// before a sleep, which with the wake-up costs more than the job: mostly the other side is about to
// go on
constexpr int yields = 3;
// slots that a producer looks at before it looks at all: a cache line of states
constexpr std::uint32_t near = 8;

void require_intact(const work_queue_head& queue, const work_queue_shape& shape) {
  const bool is_queue = queue.magic == work_queue_magic && queue.max_tries >= 1 &&
                        queue.max_tries <= max_job_tries && queue.capacity != 0 &&
                        queue.job_bytes != 0;
  const bool fits = queue.capacity == shape.capacity && queue.job_bytes == shape.job_bytes;
  if (is_queue && fits) return;
  const auto named = [](std::uint32_t slots, std::uint32_t bytes) {
    return "a queue with " + std::to_string(slots) + " slots for jobs of " + std::to_string(bytes) +
           " bytes";
  };
  const std::string expected = named(shape.capacity, shape.job_bytes);
  if (!is_queue) {
    fail(errc::damaged, "work queue: found magic " + std::to_string(queue.magic) + ", " +
                            std::to_string(queue.max_tries) + " tries and " +
                            named(queue.capacity, queue.job_bytes) + ", expected " + expected +
                            " that was constructed in a segment");
  }
  fail(errc::type_mismatch, "work queue: found " + named(queue.capacity, queue.job_bytes) +
                                ", expected " + expected +
                                "; was it made by another release of the program?");
}

// nullptr: no thread record came free in time.
attachment* attach(work_queue_head& queue, const deadline& how_long) {
  return attach_holder(&queue, "work queue", how_long);
}

// A thread that uses the queue.
struct party {
  attachment& mine;
  job_slots slots;
  std::uint32_t max_tries;
  job_holder_id me;

  party(attachment& attached, work_queue_head& queue, const work_queue_shape& shape)
      : mine(attached), slots{queue, shape}, max_tries(queue.max_tries), me(id_of(mine)) {}

  [[nodiscard]] std::uint32_t capacity() const noexcept { return slots.shape.capacity; }
  [[nodiscard]] slot_use use_of(job_state state, kernel_answers* kernel) const noexcept {
    return detail::use_of(*mine.map, max_tries, state, kernel);
  }
};

struct producer : party {
  using party::party;

  // Whether one of the first slots from tail on could be had; it is this thread's then.
  bool look(ring_position& at, std::uint32_t count, kernel_answers* kernel) const noexcept {
    at = ring_position(slots.queue.tail.load(std::memory_order_relaxed));
    for (std::uint32_t i = 0; i < count; ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.look_at(slot);
      if (use_of(seen, kernel) == slot_use::vacant &&
          slots.exchange(slot, seen, {job_kind::filling, 0, me, at.lap()}))
        return true;
    }
    return false;
  }

  bool find_slot(ring_position& at, const deadline& until) const noexcept {
    const std::uint32_t few = std::min(capacity(), near);
    if (look(at, few, nullptr)) return true;
    if (!until.waits()) return look(at, capacity(), nullptr);
    for (int i = 0; i < yields; ++i) {
      std::this_thread::yield();
      if (look(at, few, nullptr)) return true;
    }
    return wait_word::until(slots.queue.not_full, until, [&](bool thoroughly) {
      kernel_answers answers;
      return look(at, capacity(), thoroughly ? &answers : nullptr);
    });
  }

  void publish(ring_position at, const void* job) const {
    const std::uint32_t slot = at.slot(capacity());
    const job_state filling(job_kind::filling, 0, me, at.lap());
    // What a consumer that dies before it has said who it is must not leave: the name of somebody
    // who had another job.
    for (std::uint32_t i = 0; i < max_tries; ++i)
      slots.history(slot)[i].thread.store(0, std::memory_order_relaxed);
    std::memcpy(slots.job(slot), job, slots.shape.job_bytes);
    // Tail before the job: whoever sees a job finds tail beyond it. It never falls back. What that
    // is good for: consumer::look_near().
    const ring_position next = at.next(capacity());
    std::uint64_t tail = slots.queue.tail.load(std::memory_order_relaxed);
    while (ring_position(tail).is_before(next) &&
           !slots.queue.tail.compare_exchange_weak(tail, next.word(), std::memory_order_release,
                                                   std::memory_order_relaxed)) {
    }
    // If consumers have gone past meanwhile, since this thread was stopped, the job comes next.
    if (at.is_before(ring_position(slots.queue.head.load(std::memory_order_relaxed))))
      at = slots.position_before_head(slot);
    if (!slots.exchange(slot, filling, job_state(job_kind::ready, 0).with_lap(at.lap()))) {
      fail(errc::damaged, "work queue: found state " + std::to_string(slots.look_at(slot).word()) +
                              " of slot " + std::to_string(slot) +
                              ", expected the one of the thread that fills it");
    }
    slots.announce_job(at);
  }
};

struct consumer : party {
  using party::party;

  // The jobs in the order of their positions, from head to tail. One producer's are in order there,
  // and are taken in order, because
  //   - all that are before tail but the last are published: tail goes on before the next one is;
  //   - a slot that was left out, since it was in use, may have the next round's job by now: the
  //     lap tells. So it is looked at twice, for each round;
  //   - more than two rounds before tail no job of theirs waits: after one that does, a producer
  //     finds each slot free once.
  bool look_near(held_job& got) const noexcept {
    const ring_position tail(slots.queue.tail.load(std::memory_order_acquire));
    const ring_position head(slots.queue.head.load(std::memory_order_relaxed));
    const ring_position oldest = tail.rounds_before(2);
    ring_position at = head.is_before(oldest) ? oldest : head;
    // Counted, too: damaged hints may be so far apart that nobody would come to the end.
    for (std::uint32_t i = 0; at.is_before(tail) && i < 2 * capacity();
         ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.look_at(slot);
      if (seen.lap() == ((at.lap() + 1) & job_lap_mask) || !take(got, slot, seen, nullptr))
        continue;
      // Unless somebody has moved it since, who may have pulled it back.
      if (slots.queue.head.load(std::memory_order_relaxed) == head.word()) {
        slots.queue.head.store(at.next(capacity()).word(), std::memory_order_relaxed);
      }
      return true;
    }
    return false;
  }

  // All slots: jobs of the dead that head has passed by, and what a lost hint has hidden. Not at
  // once, when one is found: a job that was pushed behind our back while we went on is older than
  // the one that was pushed after it and that we then met.
  bool look_at_all(held_job& got, bool thoroughly) const noexcept {
    kernel_answers answers;
    kernel_answers* const kernel = thoroughly ? &answers : nullptr;
    ring_position at = start();
    for (std::uint32_t i = 0; i < capacity(); ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      if (use_of(slots.look_at(slot), kernel) == slot_use::waiting &&
          (look_near(got) || take(got, slot, slots.look_at(slot), kernel)))
        return true;
    }
    return false;
  }

  bool find_job(held_job& got, const deadline& until, const std::stop_token& stop) const noexcept {
    if (look_near(got)) return true;
    if (!until.waits()) return look_at_all(got, false);
    for (int i = 0; i < yields; ++i) {
      std::this_thread::yield();
      if (look_near(got)) return true;
    }
    return wait_word::until(
        slots.queue.not_empty, until, [&](bool thoroughly) { return look_at_all(got, thoroughly); },
        stop);
  }

  bool find_dead_letter(held_job& got) const noexcept {
    kernel_answers kernel;
    ring_position at = start();
    for (std::uint32_t i = 0; i < capacity(); ++i, at = at.next(capacity())) {
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.look_at(slot);
      if (use_of(seen, &kernel) != slot_use::dead_letter) continue;
      if (have(got, slot, seen, seen.to(job_kind::examined, seen.tries(), me))) return true;
    }
    return false;
  }

 private:
  // Where to begin to look at all. A head beyond tail is damage.
  [[nodiscard]] ring_position start() const noexcept {
    const ring_position head(slots.queue.head.load(std::memory_order_relaxed));
    const ring_position tail(slots.queue.tail.load(std::memory_order_relaxed));
    if (!tail.is_before(head)) return head;
    slots.queue.head.store(tail.word(), std::memory_order_relaxed);
    return tail;
  }

  // Whether there was a job that could be had.
  bool take(held_job& got, std::uint32_t slot, job_state seen,
            kernel_answers* kernel) const noexcept {
    return use_of(seen, kernel) == slot_use::waiting &&
           have(got, slot, seen, seen.to(job_kind::leased, seen.tries() + 1, me));
  }

  // Who dies after the exchange, before all of this is written, is told by the next one, as long as
  // its record is not used again.
  bool have(held_job& got, std::uint32_t slot, job_state seen, job_state now) const noexcept {
    if (!slots.exchange(slot, seen, now)) return false;
    ++mine.named_by;
    if (seen.kind() == job_kind::leased) write_down_dead(slot, seen);
    if (now.kind() == job_kind::leased) sign(slots.history(slot)[now.tries() - 1], *mine.record);
    got.queue = &slots.queue;
    got.shape = &slots.shape;
    got.slot = slot;
    got.state = now.word();
    return true;
  }

  void write_down_dead(std::uint32_t slot, job_state seen) const noexcept {
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
      entry.thread.store(0, std::memory_order_relaxed);  // it died before the job was back
    }
  }

  static std::uint64_t thread_of(const thread_record& record) noexcept {
    return std::uint64_t{record.pid.load(std::memory_order_relaxed)} << 32 |
           record.tid.load(std::memory_order_relaxed);
  }
  static void sign(job_try& entry, const thread_record& record) noexcept {
    entry.start_time.store(record.start_time.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
    crash_barrier();
    entry.thread.store(thread_of(record), std::memory_order_relaxed);
  }
};

}  // namespace

void make_queue(work_queue_head& queue, const work_queue_shape& shape,
                const work_queue_options& options) {
  require_in_segment(&queue, "work queue");
  if (options.max_tries == 0 || options.max_tries > max_job_tries) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "work queue: found " + std::to_string(options.max_tries) +
                                " tries asked for, expected 1 to 8");
  }
  queue.capacity = shape.capacity;
  queue.max_tries = options.max_tries;
  queue.job_bytes = shape.job_bytes;
  queue.not_empty.store(0, std::memory_order_relaxed);
  queue.not_full.store(0, std::memory_order_relaxed);
  queue.head.store(0, std::memory_order_relaxed);
  queue.tail.store(0, std::memory_order_relaxed);
  const job_slots slots{queue, shape};
  for (std::uint32_t i = 0; i < shape.capacity; ++i)
    slots.state(i).store(job_state(job_kind::free, 0).word(), std::memory_order_relaxed);
  crash_barrier();  // a whole queue before the magic that says so
  queue.magic = work_queue_magic;
}

void end_queue(work_queue_head& queue) noexcept {
  static_cast<volatile std::uint32_t&>(queue.magic) = dead_work_queue_magic;
}

bool push_job(work_queue_head& queue, const work_queue_shape& shape, const void* job,
              const deadline& until) {
  require_intact(queue, shape);
  attachment* const mine = attach(queue, until);
  if (mine == nullptr) return false;
  const producer thread(*mine, queue, shape);
  ring_position at(0);
  if (!thread.find_slot(at, until)) return false;
  thread.publish(at, job);
  return true;
}

held_job pop_job(work_queue_head& queue, const work_queue_shape& shape, const deadline& until) {
  require_intact(queue, shape);
  held_job got;
  if (attachment* const mine = attach(queue, until))
    consumer(*mine, queue, shape).find_job(got, until, {});
  return got;
}

held_job pop_job(work_queue_head& queue, const work_queue_shape& shape,
                 const std::stop_token& stop) {
  require_intact(queue, shape);
  held_job got;
  attachment* mine = nullptr;
  while ((mine = attach(queue, deadline(deadline::slice))) == nullptr) {
    if (stop.stop_requested()) return got;
  }
  const std::stop_callback wake(stop,
                                [&queue]() noexcept { wait_word::wake_all(queue.not_empty); });
  consumer(*mine, queue, shape).find_job(got, no_limit, stop);
  return got;
}

held_job pop_dead_job(work_queue_head& queue, const work_queue_shape& shape) {
  require_intact(queue, shape);
  held_job got;
  if (attachment* const mine = attach(queue, no_wait))
    consumer(*mine, queue, shape).find_dead_letter(got);
  return got;
}

work_queue_counts count_jobs(const work_queue_head& queue, const work_queue_shape& shape) {
  require_intact(queue, shape);
  const auto map = require_in_segment(&queue, "work queue");
  const job_slots slots{const_cast<work_queue_head&>(queue), shape};
  kernel_answers kernel;
  work_queue_counts found;
  for (std::uint32_t i = 0; i < shape.capacity; ++i) {
    switch (use_of(*map, queue.max_tries, slots.look_at(i), &kernel)) {
      case slot_use::waiting: ++found.waiting; break;
      case slot_use::leased: ++found.leased; break;
      case slot_use::dead_letter:
      case slot_use::examined: ++found.dead_letters; break;
      case slot_use::vacant:
      case slot_use::filling:
      case slot_use::unknown: break;
    }
  }
  return found;
}

}  // namespace outlive::detail
