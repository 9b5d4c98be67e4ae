#include "records/outlived_holds.hpp"

#include <mutex>

#include "mapping/mapping.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

namespace {

// Guarded by the table's mutex, which is held over a fork: a child has the list whole.
constinit outlived_holds* all_outlived = nullptr;

}  // namespace

void keep_for_holds(std::unique_ptr<outlived_holds> holds) noexcept {
  const std::lock_guard hold(mapping_table::instance().mutex);
  holds->next = all_outlived;
  all_outlived = holds.release();
}

void end_outlived_hold(const void* object, std::uint64_t index_plus_1, std::uint64_t generation,
                       std::uint64_t mask) noexcept {
  this_thread::forget_parents_attachments();
  this_thread::free_kept_attachments();
  // Deleted after the mutex is released: the mapping's end locks it.
  std::unique_ptr<outlived_holds> last;
  const std::lock_guard hold(mapping_table::instance().mutex);
  for (outlived_holds** link = &all_outlived; *link != nullptr; link = &(*link)->next) {
    outlived_holds& each = **link;
    const std::uint64_t its_generation = each.name & generation_bits;
    if (each.name >> 48 != index_plus_1 || (its_generation & mask) != generation ||
        !each.map->contains(object))
      continue;
    if (--each.count != 0) return;
    last.reset(&each);
    *link = each.next;
    return;
  }
}

}  // namespace outlive::detail
