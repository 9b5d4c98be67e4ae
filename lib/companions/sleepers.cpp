#include "companions/sleepers.hpp"

#include "companions/wait_word.hpp"
#include "format/object_layout.hpp"

namespace outlive::detail {

namespace {

// Returns: the object at an offset that was read from shared memory; nullptr unless one with this
// magic is there.
template <class Bytes>
Bytes* object_at(const mapping& map, std::uint64_t offset, std::uint32_t magic) noexcept {
  if (offset < map.layout().objects || offset > map.size() - sizeof(Bytes)) return nullptr;
  auto* const object = reinterpret_cast<Bytes*>(map.base() + offset);
  const auto found = static_cast<const volatile std::uint32_t&>(object->magic);
  return found == magic ? object : nullptr;
}

// The first call for an object clears the bit, so the others for it do nothing.
void wake(shared_u32& word) noexcept {
  if ((word.load(std::memory_order_seq_cst) & wait_word::maybe_waiters) != 0)
    wait_word::wake_all(word);
}

}  // namespace

void wake_sleepers(const mapping& map) noexcept {
  for (std::uint32_t index = 0; index < map.record_count(); ++index) {
    const std::uint64_t line = map.record(index).sleeps_for.load(std::memory_order_relaxed);
    if (line == 0) continue;
    const std::uint64_t offset = line * cache_line;
    auto* queue = object_at<work_queue_bytes>(map, offset, work_queue_magic);
    if (queue == nullptr)
      queue = object_at<work_queue_bytes>(map, offset, limited_work_queue_magic);
    if (queue != nullptr) {
      wake(queue->not_empty);
      wake(queue->not_full);
    } else if (auto* const permits = object_at<permit_pool_bytes>(map, offset, permit_pool_magic)) {
      wake(permits->seq);
      wake(permits->turn);
    }
  }
}

}  // namespace outlive::detail
