// The state words of a queue's slots (docs/format.md), for tests that read or damage them.
#pragma once

#include <cstdint>

#include <outlive/work_queue.hpp>

#include "format/object_layout.hpp"

namespace outlive::testing {

template <class T, std::uint32_t Capacity>
detail::shared_u64& state_of(work_queue<T, Capacity>& queue, unsigned slot) {
  constexpr std::size_t slot_bytes = (sizeof(queue) - sizeof(detail::work_queue_bytes)) / Capacity;
  constexpr std::size_t state_at = (sizeof(T) + 7) / 8 * 8;
  return *reinterpret_cast<detail::shared_u64*>(reinterpret_cast<char*>(&queue) +
                                                sizeof(detail::work_queue_bytes) +
                                                slot * slot_bytes + state_at);
}

}  // namespace outlive::testing
