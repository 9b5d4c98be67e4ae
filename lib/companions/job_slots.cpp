#include "companions/job_slots.hpp"

#include <atomic>

#include "companions/wait_word.hpp"

namespace outlive::detail {

std::optional<work_queue_shape> find_shape(const work_queue_head& queue,
                                           std::uint64_t room) noexcept {
  constexpr std::uint64_t line = cache_line;
  constexpr std::uint32_t most = 1'048'576;  // slots, and bytes of a job: as work_queue demands
  const auto load = [](const std::uint32_t& of) { return __atomic_load_n(&of, __ATOMIC_RELAXED); };
  if (room < sizeof queue || !is_work_queue(load(queue.magic))) return std::nullopt;
  const std::uint32_t capacity = load(queue.capacity), bytes = load(queue.job_bytes);
  const std::uint32_t tries = load(queue.max_tries);
  if (capacity == 0 || capacity > most || bytes == 0 || bytes > most || tries == 0 ||
      tries > max_job_tries)
    return std::nullopt;
  // As the compiler lays out work_queue::slot. The size of a job is a multiple of its alignment.
  const std::uint32_t state_at = (bytes + 7) / 8 * 8;
  const auto slot_bytes = static_cast<std::uint32_t>(
      (state_at + 2 * sizeof(shared_u64) + max_job_tries * sizeof(job_try) + line - 1) / line *
      line);
  if (sizeof queue + std::uint64_t{capacity} * slot_bytes > room) return std::nullopt;
  return work_queue_shape{capacity, bytes, state_at, slot_bytes};
}

slot_use use_of_held(const mapping& map, std::uint32_t max_tries, job_state state,
                     kernel_answers* kernel) noexcept {
  const job_holder_id holder = state.holder();
  const std::uint32_t tries = state.tries();
  const bool was_tried = tries >= 1 && tries <= max_tries;
  const bool named = holder.index_plus_1 != 0 && holder.index_plus_1 <= map.record_count();
  const auto dead = [&] {
    return is_dead_holder(map, holder.index_plus_1, holder.generation, job_generation_mask, kernel);
  };
  switch (state.kind()) {
    case job_kind::free:
      return tries == 0 && state.lap() == 0 && holder.is_nobody() ? slot_use::vacant
                                                                  : slot_use::unknown;
    case job_kind::filling:
      if (tries != 0 || !named) return slot_use::unknown;
      return dead() ? slot_use::vacant : slot_use::filling;
    case job_kind::ready:
      return tries < max_tries && state.is_waiting() ? slot_use::waiting : slot_use::unknown;
    case job_kind::delayed:
      return tries < max_tries && state.is_waiting() ? slot_use::delayed : slot_use::unknown;
    case job_kind::leased:
      if (!was_tried || !named) return slot_use::unknown;
      if (!dead()) return slot_use::leased;
      return tries < max_tries ? slot_use::waiting : slot_use::dead_letter;
    case job_kind::dead_letter:
      return was_tried && holder.is_nobody() ? slot_use::dead_letter : slot_use::unknown;
    case job_kind::examined:
      if (!was_tried || !named) return slot_use::unknown;
      return dead() ? slot_use::dead_letter : slot_use::examined;
  }
  return slot_use::unknown;
}

void job_slots::pull_head_back(ring_position at) const noexcept {
  std::uint64_t now = queue.head.load(std::memory_order_seq_cst);
  while (at.is_before(ring_position(now)) &&
         !queue.head.compare_exchange_weak(now, at.word(), std::memory_order_seq_cst)) {
  }
}

void job_slots::announce_job(ring_position at) const noexcept {
  pull_head_back(at);
  wake_consumer();
}

void job_slots::wake_consumer() const noexcept {
  if ((queue.not_empty.load(std::memory_order_seq_cst) & wait_word::maybe_waiters) != 0)
    wait_word::wake_one(queue.not_empty);
}

void job_slots::wake_at_the_end() const noexcept {
  if (is_closed()) wait_word::wake_all(queue.not_empty);
}

void job_slots::wake_producer() const noexcept {
  if ((queue.not_full.load(std::memory_order_seq_cst) & wait_word::maybe_waiters) != 0)
    wait_word::wake_one(queue.not_full);
}

}  // namespace outlive::detail
