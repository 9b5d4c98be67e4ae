// A thread that uses a queue, as producer (queue_producer.cpp) or consumer (queue_consumer.cpp).
#pragma once

#include <cstdint>
#include <stop_token>

#include <outlive/work_queue.hpp>

#include "companions/holder.hpp"
#include "companions/job_slots.hpp"
#include "format/object_layout.hpp"
#include "sys/membarrier.hpp"
#include "sys/spin_pause.hpp"

namespace outlive::detail {

// A sleep and a wake-up cost more than a job, and mostly the other side is about to go on. So a
// thread looks a few times before it sleeps, at one slot. The pauses between the looks let the
// other side get ahead: each look takes the slot's line away from it. Then it yields, for a machine
// with fewer processors than threads.
inline constexpr int quick_looks = 4, pauses = 64;
inline constexpr int yields = 3;

template <class Look>
bool look_quickly(Look look) {
  for (int i = 0; i < quick_looks; ++i) {
    for (int k = 0; k < pauses; ++k) spin_pause();
    if (look()) return true;
  }
  return false;
}

// Throws errc::damaged or errc::type_mismatch. Out of line, so that the fast paths need no stack
// for it.
[[noreturn]] void refuse_queue(const work_queue_head& queue, const work_queue_shape& shape);

// Whether it is a queue of that type. A queue with a time limit has another magic.
inline bool is_queue(const work_queue_head& queue, const work_queue_shape& shape,
                     std::uint32_t magic) noexcept {
  return queue.magic == magic && queue.max_tries - 1 < max_job_tries &&
         queue.capacity == shape.capacity && queue.job_bytes == shape.job_bytes;
}
inline bool has_no_limit(const work_queue_head& queue, const work_queue_shape& shape) noexcept {
  return is_queue(queue, shape, work_queue_magic);
}
// Errors: those of refuse_queue(), unless it is a queue with a limit.
void require_limited(const work_queue_head& queue, const work_queue_shape& shape);
inline void require_intact(const work_queue_head& queue, const work_queue_shape& shape) {
  if (!has_no_limit(queue, shape)) [[unlikely]]
    require_limited(queue, shape);
}

// Returns: nullptr if no thread record came free in time, or before a stop was requested.
attachment* attach_party_slowly(work_queue_head& queue, const deadline& how_long,
                                const std::stop_token& stop);
inline attachment* attach_party(work_queue_head& queue, const deadline& how_long,
                                const std::stop_token& stop = {}) {
  attachment* const mine = quickly_attached(&queue);
  return mine != nullptr ? mine : attach_party_slowly(queue, how_long, stop);
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

}  // namespace outlive::detail
