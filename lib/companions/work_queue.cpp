// A queue as a whole: how it is made and closed, and what is in it. How a job gets into it and is
// leased: queue_producer.cpp, queue_consumer.cpp.
#include <outlive/work_queue.hpp>

#include <chrono>
#include <string>
#include <system_error>

#include "companions/job_slots.hpp"
#include "companions/lease_limit.hpp"
#include "companions/queue_party.hpp"
#include "companions/wait_word.hpp"
#include "directory/directory.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

namespace {

static_assert(sizeof(work_queue_head) == sizeof(work_queue_bytes) &&
              alignof(work_queue_head) == alignof(work_queue_bytes));
static_assert(offsetof(work_queue_head, job_bytes) == offsetof(work_queue_bytes, job_bytes));
static_assert(offsetof(work_queue_head, closed) == offsetof(work_queue_bytes, closed));
static_assert(offsetof(work_queue_head, lease_limit) == offsetof(work_queue_bytes, lease_limit));
static_assert(offsetof(work_queue_head, not_empty) == offsetof(work_queue_bytes, not_empty));
static_assert(offsetof(work_queue_head, tail) == offsetof(work_queue_bytes, tail));
static_assert(offsetof(work_queue_head, overtaken) == offsetof(work_queue_bytes, overtaken));
static_assert(sizeof(work_queue<long, 9>) == sizeof(work_queue_bytes) + 9 * 3 * cache_line);

}  // namespace

void make_queue(work_queue_head& queue, const work_queue_shape& shape,
                const work_queue_options& options) {
  require_in_segment(&queue, "work queue");
  if (options.max_tries == 0 || options.max_tries > max_job_tries) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "work queue: found " + std::to_string(options.max_tries) +
                                " tries requested, expected 1 to 8");
  }
  const std::chrono::nanoseconds limit = options.lease_limit;
  if (limit < limit.zero() || limit > std::chrono::nanoseconds(max_lease_limit)) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "work queue: found a time limit of " + std::to_string(limit.count()) +
                                " ns requested, expected 0, for none, to 365 days");
  }
  queue.capacity = shape.capacity;
  queue.max_tries = options.max_tries;
  queue.job_bytes = shape.job_bytes;
  queue.lease_limit = static_cast<std::uint64_t>(limit.count());
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
  queue.magic = queue.lease_limit == 0 ? work_queue_magic : limited_work_queue_magic;
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

work_queue_counts count_jobs(const work_queue_head& queue, const work_queue_shape& shape) {
  require_intact(queue, shape);
  const auto map = require_in_segment(&queue, "work queue");
  const job_slots slots{const_cast<work_queue_head&>(queue), shape};
  kernel_answers kernel;
  work_queue_counts found;
  std::uint64_t next = ~std::uint64_t{0};
  for (std::uint32_t i = 0; i < shape.capacity; ++i) {
    switch (use_at(*map, queue.max_tries, slots, i, slots.read(i), &kernel, next)) {
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
