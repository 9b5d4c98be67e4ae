// Producers and consumers. The protocol: docs/protocol.md, "Work queue", and docs/model/queue.pml
// and queue_order.pml; the rules J1 to J6: job_slots.hpp.
#include <outlive/work_queue.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>

#include <outlive/error.hpp>

#include "companions/job_slots.hpp"
#include "companions/ring_position.hpp"
#include "companions/sleepers.hpp"
#include "companions/wait_word.hpp"
#include "directory/directory.hpp"
#include "error/failure.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/membarrier.hpp"
#include "sys/spin_pause.hpp"

namespace outlive::detail {

namespace {

static_assert(sizeof(work_queue_head) == sizeof(work_queue_bytes) &&
              alignof(work_queue_head) == alignof(work_queue_bytes));
static_assert(offsetof(work_queue_head, job_bytes) == offsetof(work_queue_bytes, job_bytes));
static_assert(offsetof(work_queue_head, closed) == offsetof(work_queue_bytes, closed));
static_assert(offsetof(work_queue_head, not_empty) == offsetof(work_queue_bytes, not_empty));
static_assert(offsetof(work_queue_head, tail) == offsetof(work_queue_bytes, tail));
static_assert(offsetof(work_queue_head, overtaken) == offsetof(work_queue_bytes, overtaken));
static_assert(sizeof(work_queue<long, 9>) == sizeof(work_queue_bytes) + 9 * 3 * cache_line);

// A sleep and a wake-up cost more than a job, and mostly the other side is about to go on. So a
// thread looks a few times before it sleeps, at one slot. The pauses between the looks let the
// other side get ahead: each look takes the slot's line away from it. Then it yields, for a machine
// with fewer processors than threads.
constexpr int quick_looks = 4, pauses = 64;
constexpr int yields = 3;
// How many slots from tail on a producer tries before it scans all.
constexpr std::uint32_t near = 8;

template <class Look>
bool look_quickly(Look look) {
  for (int i = 0; i < quick_looks; ++i) {
    for (int k = 0; k < pauses; ++k) spin_pause();
    if (look()) return true;
  }
  return false;
}

bool is_queue(const work_queue_head& queue) noexcept {
  return queue.magic == work_queue_magic && queue.max_tries - 1 < max_job_tries &&
         queue.capacity != 0 && queue.job_bytes != 0;
}

// Functions of their own, so that the fast paths need no stack for this.
[[gnu::noinline, gnu::cold, noreturn]] void refuse(const work_queue_head& queue,
                                                   const work_queue_shape& shape) {
  const auto named = [](std::uint32_t slots, std::uint32_t bytes) {
    return "a queue with " + std::to_string(slots) + " slots for jobs of " + std::to_string(bytes) +
           " bytes";
  };
  const std::string expected = named(shape.capacity, shape.job_bytes);
  if (!is_queue(queue)) {
    fail(errc::damaged, "work queue: found magic " + std::to_string(queue.magic) + ", " +
                            std::to_string(queue.max_tries) + " tries and " +
                            named(queue.capacity, queue.job_bytes) + ", expected " + expected +
                            " that was constructed in a segment");
  }
  fail(errc::type_mismatch, "work queue: found " + named(queue.capacity, queue.job_bytes) +
                                ", expected " + expected +
                                "; was it made by another release of the program?");
}

inline void require_intact(const work_queue_head& queue, const work_queue_shape& shape) {
  if (queue.magic != work_queue_magic || queue.max_tries - 1 >= max_job_tries ||
      queue.capacity != shape.capacity || queue.job_bytes != shape.job_bytes) [[unlikely]]
    refuse(queue, shape);
}

// Returns: nullptr if no thread record came free in time, or before a stop was requested.
[[gnu::noinline]] attachment* attach_slowly(work_queue_head& queue, const deadline& how_long,
                                            const std::stop_token& stop) {
  if (!stop.stop_possible() || !how_long.waits())
    return attach_caller(&queue, "work queue", how_long);
  for (;;) {
    const deadline slice(std::min<std::chrono::nanoseconds>(deadline::slice, how_long.left()));
    attachment* const mine = attach_caller(&queue, "work queue", slice);
    if (mine != nullptr || stop.stop_requested() || how_long.is_over()) return mine;
  }
}
inline attachment* attach(work_queue_head& queue, const deadline& how_long,
                          const std::stop_token& stop = {}) {
  attachment* const mine = quickly_attached(&queue);
  return mine != nullptr ? mine : attach_slowly(queue, how_long, stop);
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
  // After a mark: makes visible what threads stored before they looked for the mark (J4). If this
  // process may not call it, a job that is done meanwhile is seen a slice later.
  void see_plain_ends() const noexcept {
    if (mine.map->has_plain_marks()) membarrier::barrier();
  }
  [[nodiscard]] slot_use use_of(job_state state, kernel_answers* kernel) const noexcept {
    return detail::use_of(*mine.map, max_tries, state, kernel);
  }
};

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

struct consumer : party {
  using party::party;

  // The next time at which a delayed job becomes due, as the last look at all slots found it.
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

  // How long a thread may sleep that found no job: to the time of a delayed one.
  [[nodiscard]] std::chrono::nanoseconds time_to_next() const noexcept {
    if (next_due == ~std::uint64_t{0}) return std::chrono::nanoseconds::max();
    const std::uint64_t now = monotonic_now();
    return std::chrono::nanoseconds(next_due > now ? next_due - now : 0);
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
      if (use_of(seen, &kernel) != slot_use::dead_letter) continue;
      if (acquire_job(got, slot, seen, seen.to(job_kind::examined, seen.tries(), me))) return true;
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
      switch (use_of(slots.read(slot), kernel)) {
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

  [[nodiscard]] bool may_lease(std::uint32_t slot, job_state seen,
                               kernel_answers* kernel) const noexcept {
    const slot_use use = use_of(seen, kernel);
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
           acquire_job(got, slot, seen, seen.to(job_kind::leased, seen.tries() + 1, me));
  }

  // If this thread dies after the exchange and before it has written all of this, the next holder
  // records it, as long as the record is not reused.
  [[gnu::always_inline]] bool acquire_job(held_job& got, std::uint32_t slot, job_state seen,
                                          job_state now) const noexcept {
    if (!slots.exchange(slot, seen, now)) return false;
    // The time may be another one by now: since is_due() read it, a thread may have leased the job,
    // and given it back in the same state. Only a holder writes it, so this look is the valid one.
    if (seen.kind() == job_kind::delayed && !is_due(slot)) {
      slots.exchange(slot, now, seen);
      slots.wake_consumer();  // which may have seen it leased
      return false;
    }
    ++mine.named_by;
    if (seen.kind() == job_kind::leased) record_dead_holder(slot, seen);
    if (now.kind() == job_kind::leased) slots.record_holder(slot, now.tries(), *mine.record);
    got.queue = &slots.queue;
    got.shape = &slots.shape;
    got.slot = slot;
    got.state = now.word();
    return true;
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

}  // namespace

void make_queue(work_queue_head& queue, const work_queue_shape& shape,
                const work_queue_options& options) {
  require_in_segment(&queue, "work queue");
  if (options.max_tries == 0 || options.max_tries > max_job_tries) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "work queue: found " + std::to_string(options.max_tries) +
                                " tries requested, expected 1 to 8");
  }
  queue.capacity = shape.capacity;
  queue.max_tries = options.max_tries;
  queue.job_bytes = shape.job_bytes;
  queue.closed.store(0, std::memory_order_relaxed);
  queue.not_empty.store(0, std::memory_order_relaxed);
  queue.overtaken.store(0, std::memory_order_relaxed);
  queue.not_full.store(0, std::memory_order_relaxed);
  queue.head.store(0, std::memory_order_relaxed);
  queue.tail.store(0, std::memory_order_relaxed);
  const job_slots slots{queue, shape};
  for (std::uint32_t i = 0; i < shape.capacity; ++i)
    slots.state(i).store(job_state(job_kind::free, 0).word(), std::memory_order_relaxed);
  crash_barrier();  // the whole queue comes before the magic that says so
  queue.magic = work_queue_magic;
}

void end_queue(work_queue_head& queue) noexcept {
  static_cast<volatile std::uint32_t&>(queue.magic) = dead_work_queue_magic;
}

void set_queue_closed(work_queue_head& queue, const work_queue_shape& shape, bool closed) {
  require_intact(queue, shape);
  queue.closed.store(closed ? 1 : 0, std::memory_order_seq_cst);
  if (!closed) return;
  wait_word::wake_all(queue.not_empty);
  wait_word::wake_all(queue.not_full);
}

bool is_queue_closed(const work_queue_head& queue, const work_queue_shape& shape) {
  require_intact(queue, shape);
  return queue.closed.load(std::memory_order_relaxed) != 0;
}

bool push_job(work_queue_head& queue, const work_queue_shape& shape, const void* job,
              const deadline& until, const std::stop_token& stop) {
  require_intact(queue, shape);
  attachment* const mine = attach(queue, until, stop);
  if (mine == nullptr) return false;
  const pushed how = producer(*mine, queue, shape).push(job, until, stop);
  if (how == pushed::closed) refuse_closed();
  return how == pushed::yes;
}

std::size_t push_jobs(work_queue_head& queue, const work_queue_shape& shape, const void* jobs,
                      std::size_t count, const deadline& until, const std::stop_token& stop) {
  require_intact(queue, shape);
  attachment* const mine = attach(queue, until, stop);
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

held_job pop_job(work_queue_head& queue, const work_queue_shape& shape, const deadline& until,
                 const std::stop_token& stop) {
  require_intact(queue, shape);
  held_job got;
  attachment* const mine = attach(queue, until, stop);
  if (mine == nullptr) return got;
  const consumer thread(*mine, queue, shape);
  if (!thread.lease_near(got)) thread.wait_for_job(got, until, stop);
  return got;
}

held_job pop_next_job(work_queue_head& queue, const work_queue_shape& shape) noexcept {
  held_job got;
  if (attachment* const mine = attached_caller(&queue))
    consumer(*mine, queue, shape).lease_near(got);
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
    switch (use_of(*map, queue.max_tries, slots.read(i), &kernel)) {
      case slot_use::waiting: ++found.waiting; break;
      case slot_use::delayed:
        ++found.waiting;
        if (slots.time(i).load(std::memory_order_relaxed) > monotonic_now()) ++found.delayed;
        break;
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
