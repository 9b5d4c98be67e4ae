#include "companions/queue_party.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include <outlive/error.hpp>

#include "error/failure.hpp"

namespace outlive::detail {

namespace {

// Of whatever type.
bool is_any_queue(const work_queue_head& queue) noexcept {
  const bool is_limited = queue.magic == limited_work_queue_magic;
  return is_work_queue(queue.magic) && queue.max_tries - 1 < max_job_tries && queue.capacity != 0 &&
         queue.job_bytes != 0 && (!is_limited || queue.lease_limit - 1 < max_lease_limit);
}

}  // namespace

[[gnu::noinline, gnu::cold]] void refuse_queue(const work_queue_head& queue,
                                               const work_queue_shape& shape) {
  const auto named = [](std::uint32_t slots, std::uint32_t bytes) {
    return "a queue with " + std::to_string(slots) + " slots for jobs of " + std::to_string(bytes) +
           " bytes";
  };
  const std::string expected = named(shape.capacity, shape.job_bytes);
  if (!is_any_queue(queue)) {
    fail(errc::damaged, "work queue: found magic " + std::to_string(queue.magic) + ", " +
                            std::to_string(queue.max_tries) + " tries, a time limit of " +
                            std::to_string(queue.lease_limit) + " ns and " +
                            named(queue.capacity, queue.job_bytes) + ", expected " + expected +
                            " that was constructed in a segment");
  }
  fail(errc::type_mismatch, "work queue: found " + named(queue.capacity, queue.job_bytes) +
                                ", expected " + expected +
                                "; was it made by another release of the program?");
}

[[gnu::noinline, gnu::cold]] void require_limited(const work_queue_head& queue,
                                                  const work_queue_shape& shape) {
  if (!is_any_queue(queue) || !is_queue(queue, shape, limited_work_queue_magic))
    refuse_queue(queue, shape);
}

[[gnu::noinline]] attachment* attach_party_slowly(work_queue_head& queue, const deadline& how_long,
                                                  const std::stop_token& stop) {
  if (!stop.stop_possible() || !how_long.waits())
    return attach_caller(&queue, "work queue", how_long);
  for (;;) {
    const deadline slice(std::min<std::chrono::nanoseconds>(deadline::slice, how_long.left()));
    attachment* const mine = attach_caller(&queue, "work queue", slice);
    if (mine != nullptr || stop.stop_requested() || how_long.is_over()) return mine;
  }
}

}  // namespace outlive::detail
