// The state words and the times of the slots of a queue, for tests that read or damage them
// (docs/format.md).
#pragma once

#include <cstdint>

#include <outlive/work_queue.hpp>

#include "format/object_layout.hpp"

namespace outlive::testing {

template <class T, std::uint32_t Capacity>
detail::shared_u64& word_of(work_queue<T, Capacity>& queue, unsigned slot, std::size_t behind) {
  constexpr std::size_t slot_bytes = (sizeof(queue) - sizeof(detail::work_queue_bytes)) / Capacity;
  constexpr std::size_t state_at = (sizeof(T) + 7) / 8 * 8;
  return *reinterpret_cast<detail::shared_u64*>(reinterpret_cast<char*>(&queue) +
                                                sizeof(detail::work_queue_bytes) +
                                                slot * slot_bytes + state_at + behind);
}

template <class T, std::uint32_t Capacity>
detail::shared_u64& state_of(work_queue<T, Capacity>& queue, unsigned slot) {
  return word_of(queue, slot, 0);
}
// Before which a delayed job is not handed out.
template <class T, std::uint32_t Capacity>
detail::shared_u64& time_of(work_queue<T, Capacity>& queue, unsigned slot) {
  return word_of(queue, slot, 8 + detail::max_job_tries * sizeof(detail::job_try));
}

}  // namespace outlive::testing
