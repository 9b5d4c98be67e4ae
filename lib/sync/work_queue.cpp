// Producers and consumers. The protocol: docs/protocol.md, "Work queue", and docs/model/queue.pml; the rules J1 to J4: job_slots.hpp.
#include <outlive/work_queue.hpp>

#include <cstring>
#include <optional>
#include <string>
#include <system_error>

#include <outlive/error.hpp>

#include "segment/failure.hpp"
#include "sync/in_segment.hpp"
#include "sync/job_slots.hpp"
#include "sync/wait_word.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

namespace {

static_assert(sizeof(work_queue_head) == sizeof(work_queue_bytes) && alignof(work_queue_head) == alignof(work_queue_bytes));
static_assert(offsetof(work_queue_head, job_bytes) == offsetof(work_queue_bytes, job_bytes));
static_assert(offsetof(work_queue_head, not_empty) == offsetof(work_queue_bytes, not_empty));
static_assert(offsetof(work_queue_head, tail) == offsetof(work_queue_bytes, tail));
static_assert(sizeof(work_queue<long, 9>) == sizeof(work_queue_bytes) + 2 * cache_line + 9 * 3 * cache_line);  // head, states, slots

using time_point = queue_clock::time_point;

constexpr std::uint32_t near = 8;  // slots that a producer looks at before it looks at all: a cache line of states

void require_intact(const work_queue_head& queue, const work_queue_shape& shape) {
  if (queue.magic == work_queue_magic && queue.capacity == shape.capacity && queue.job_bytes == shape.job_bytes && queue.max_tries >= 1 &&
      queue.max_tries <= max_job_tries) {
    return;
  }
  fail(errc::damaged, "work queue: found " + std::to_string(queue.capacity) + " slots of " + std::to_string(queue.job_bytes) + " bytes, " +
                          std::to_string(queue.max_tries) + " tries and magic " + std::to_string(queue.magic) + ", expected a queue of " +
                          std::to_string(shape.capacity) + " slots of " + std::to_string(shape.job_bytes) +
                          " bytes that was constructed in a segment");
}

// A thread that uses the queue.
struct party {
  attachment& mine;
  job_slots slots;
  std::uint32_t max_tries;
  job_holder_id me;

  party(work_queue_head& queue, const work_queue_shape& shape, bool may_wait)
      : mine(attach_holder(&queue, "work queue", may_wait)), slots{queue, shape}, max_tries(queue.max_tries), me(id_of(mine)) {}

  [[nodiscard]] std::uint32_t capacity() const noexcept { return slots.shape.capacity; }
  [[nodiscard]] slot_use use_of(job_state state, bool thoroughly) const noexcept { return detail::use_of(*mine.where, max_tries, state, thoroughly); }
};

struct producer : party {
  using party::party;

  // The first slot from there on that may be filled, and is this thread's then.
  [[nodiscard]] std::optional<ring_position> look(ring_position from, std::uint32_t count, bool thoroughly) const noexcept {
    for (std::uint32_t i = 0; i < count; ++i) {
      const ring_position at = from.after(i, capacity());
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.look_at(slot);
      if (use_of(seen, thoroughly) == slot_use::vacant && slots.exchange(slot, seen, {job_kind::filling, 0, me})) return at;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<ring_position> find_slot(time_point until) const noexcept {
    const auto tail = [this] { return ring_position(slots.queue.tail.load(std::memory_order_relaxed)); };
    if (const auto got = look(tail(), capacity() < near ? capacity() : near, false)) return got;
    if (until == time_point::min()) return look(tail(), capacity(), false);
    std::optional<ring_position> got;
    wait_word::until(slots.queue.not_full, until, [&](bool thoroughly) { return (got = look(tail(), capacity(), thoroughly)).has_value(); });
    return got;
  }

  void publish(ring_position at, const void* job) const {
    const std::uint32_t slot = at.slot(capacity());
    // What a consumer that dies before it has said who it is must not leave: the name of somebody who had another job.
    for (std::uint32_t i = 0; i < max_tries; ++i) slots.history(slot)[i].thread.store(0, std::memory_order_relaxed);
    std::memcpy(slots.job(slot), job, slots.shape.job_bytes);
    if (!slots.exchange(slot, {job_kind::filling, 0, me}, {job_kind::ready, 0})) {
      fail(errc::damaged, "work queue: found state " + std::to_string(slots.look_at(slot).word()) + " of slot " + std::to_string(slot) +
                              ", expected the one of the thread that fills it");
    }
    const std::uint64_t next = at.after(1, capacity()).word();
    std::uint64_t tail = slots.queue.tail.load(std::memory_order_relaxed);
    // Release: a consumer that sees the tail beyond a job sees the job, too. That is what keeps the order of one producer's jobs.
    while (tail < next && !slots.queue.tail.compare_exchange_weak(tail, next, std::memory_order_release, std::memory_order_relaxed)) {
    }
    std::uint64_t head = slots.queue.head.load(std::memory_order_relaxed);
    if (head > at.word()) slots.queue.head.compare_exchange_strong(head, at.word(), std::memory_order_relaxed);
    slots.wake_consumer();
  }
};

struct consumer : party {
  using party::party;

  // The first job from there on that can be had.
  [[nodiscard]] held_job look(ring_position from, std::uint32_t count, bool thoroughly) const noexcept {
    for (std::uint32_t i = 0; i < count; ++i) {
      const ring_position at = from.after(i, capacity());
      const std::uint32_t slot = at.slot(capacity());
      const job_state seen = slots.look_at(slot);
      if (use_of(seen, thoroughly) != slot_use::waiting) continue;
      const job_state leased(job_kind::leased, seen.tries() + 1, me);
      if (!slots.exchange(slot, seen, leased)) continue;
      const held_job got = take(slot, seen, leased);
      std::uint64_t head = from.word();
      // Only if nobody has moved it since: a producer or a lease that has pulled it back wins.
      slots.queue.head.compare_exchange_strong(head, at.after(1, capacity()).word(), std::memory_order_relaxed);
      return got;
    }
    return {};
  }

  // All slots. A job that was pushed behind our back while we went on is older than the one that we then meet: so from the start once more.
  [[nodiscard]] held_job look_at_all(bool thoroughly) const noexcept {
    const ring_position from(slots.queue.head.load(std::memory_order_relaxed));
    for (std::uint32_t i = 0; i < capacity(); ++i) {
      const std::uint32_t slot = from.after(i, capacity()).slot(capacity());
      if (use_of(slots.look_at(slot), thoroughly) != slot_use::waiting) continue;
      if (const held_job got = look(from, i + 1, thoroughly); got.queue != nullptr) return got;
    }
    return {};
  }

  [[nodiscard]] held_job look_near() const noexcept {
    const ring_position tail(slots.queue.tail.load(std::memory_order_acquire));
    const ring_position head(slots.queue.head.load(std::memory_order_relaxed));
    return look(head, head.distance_to(tail, capacity()), false);
  }

  [[nodiscard]] held_job find_job(time_point until, const std::stop_token& stop) const noexcept {
    held_job got = look_near();
    if (got.queue != nullptr) return got;
    if (until == time_point::min()) return look_at_all(false);
    wait_word::until(
        slots.queue.not_empty, until, [&](bool thoroughly) { return (got = look_at_all(thoroughly)).queue != nullptr; }, stop);
    return got;
  }

  [[nodiscard]] held_job find_dead_letter() const noexcept {
    const ring_position from(slots.queue.head.load(std::memory_order_relaxed));
    for (std::uint32_t i = 0; i < capacity(); ++i) {
      const std::uint32_t slot = from.after(i, capacity()).slot(capacity());
      const job_state seen = slots.look_at(slot);
      if (use_of(seen, true) != slot_use::dead_letter) continue;
      const job_state examined(job_kind::examined, seen.tries(), me);
      if (slots.exchange(slot, seen, examined)) return take(slot, seen, examined);
    }
    return {};
  }

 private:
  // The slot is this thread's by now. Who dies before all of this is written is told by the next one, as long as its record is not used again.
  held_job take(std::uint32_t slot, job_state seen, job_state now) const noexcept {
    ++mine.named_by;
    if (seen.kind() == job_kind::leased) write_down_dead(slot, seen);
    if (now.kind() == job_kind::leased) sign(slots.history(slot)[now.tries() - 1], *mine.record);
    return {&slots.queue, &slots.shape, slot, now.word()};
  }

  void write_down_dead(std::uint32_t slot, job_state seen) const noexcept {
    job_try& entry = slots.history(slot)[seen.tries() - 1];
    const thread_record& record = mine.where->record(static_cast<std::uint32_t>(seen.holder().index_plus_1 - 1));
    const std::uint64_t thread = thread_of(record), start_time = record.start_time.load(std::memory_order_relaxed);
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
    return std::uint64_t{record.pid.load(std::memory_order_relaxed)} << 32 | record.tid.load(std::memory_order_relaxed);
  }
  static void sign(job_try& entry, const thread_record& record) noexcept {
    entry.start_time.store(record.start_time.load(std::memory_order_relaxed), std::memory_order_relaxed);
    crash_barrier();
    entry.thread.store(thread_of(record), std::memory_order_relaxed);
  }
};

}  // namespace

void make_queue(work_queue_head& queue, const work_queue_shape& shape, const work_queue_options& options) {
  require_in_segment(&queue, "work queue");
  if (options.max_tries == 0 || options.max_tries > max_job_tries) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "work queue: found " + std::to_string(options.max_tries) + " tries asked for, expected 1 to 8");
  }
  queue.capacity = shape.capacity;
  queue.max_tries = options.max_tries;
  queue.job_bytes = shape.job_bytes;
  queue.not_empty.store(0, std::memory_order_relaxed);
  queue.not_full.store(0, std::memory_order_relaxed);
  queue.head.store(0, std::memory_order_relaxed);
  queue.tail.store(0, std::memory_order_relaxed);
  const job_slots slots{queue, shape};
  for (std::uint32_t i = 0; i < shape.capacity; ++i) slots.state(i).store(job_state(job_kind::free, 0).word(), std::memory_order_relaxed);
  crash_barrier();  // a whole queue before the magic that says so
  queue.magic = work_queue_magic;
}

void end_queue(work_queue_head& queue) noexcept {
  static_cast<volatile std::uint32_t&>(queue.magic) = dead_work_queue_magic;
}

bool push_job(work_queue_head& queue, const work_queue_shape& shape, const void* job, time_point until) {
  require_intact(queue, shape);
  const producer thread(queue, shape, until != time_point::min());
  const auto at = thread.find_slot(until);
  if (at) thread.publish(*at, job);
  return at.has_value();
}

held_job pop_job(work_queue_head& queue, const work_queue_shape& shape, time_point until) {
  require_intact(queue, shape);
  return consumer(queue, shape, until != time_point::min()).find_job(until, {});
}

held_job pop_job(work_queue_head& queue, const work_queue_shape& shape, const std::stop_token& stop) {
  require_intact(queue, shape);
  const consumer thread(queue, shape, true);
  const std::stop_callback wake(stop, [&queue]() noexcept { wait_word::wake_all(queue.not_empty); });
  return thread.find_job(time_point::max(), stop);
}

held_job pop_dead_job(work_queue_head& queue, const work_queue_shape& shape) {
  require_intact(queue, shape);
  return consumer(queue, shape, false).find_dead_letter();
}

work_queue_counts count_jobs(const work_queue_head& queue, const work_queue_shape& shape) {
  require_intact(queue, shape);
  const auto where = require_in_segment(&queue, "work queue");
  const job_slots slots{const_cast<work_queue_head&>(queue), shape};
  work_queue_counts found;
  for (std::uint32_t i = 0; i < shape.capacity; ++i) {
    switch (use_of(*where, queue.max_tries, slots.look_at(i), true)) {
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

time_point queue_deadline(std::chrono::duration<double> timeout) noexcept {
  if (timeout >= std::chrono::hours(24 * 365)) return time_point::max();  // longer than a year counts as for ever
  if (!(timeout > timeout.zero())) return time_point::min();
  return queue_clock::now() + std::chrono::ceil<queue_clock::duration>(timeout);
}

}  // namespace outlive::detail
