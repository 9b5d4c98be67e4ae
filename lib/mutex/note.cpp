#include <outlive/note.hpp>

#include <atomic>

#include "mutex/attach.hpp"
#include "segment/segment_access.hpp"

namespace outlive {

void note(const segment& seg, std::uint64_t value) {
  using namespace detail;
  const thread_slot& slot = this_thread::slot();
  const auto& mapped = segment_access::mapping_of(seg);
  if (slot.current != nullptr && slot.current->map.get() == mapped.get()) {
    slot.record->note.store(value, std::memory_order_relaxed);
    return;
  }
  attachment& mine = *attach(mapped->shared_from_this(), no_limit);
  mine.record->note.store(value, std::memory_order_relaxed);
  put_slot_on(mine);
}

}  // namespace outlive
