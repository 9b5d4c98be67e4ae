#include "records/outlived_holds.hpp"

#include <mutex>
#include <new>
#include <utility>

#include "mapping/mapping.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

namespace {

// What an object that ended says of its holder.
struct ended_hold {
  const void* object;
  std::uint64_t index_plus_1;
  std::uint64_t generation;
  std::uint64_t mask;

  [[nodiscard]] bool is_of(const outlived_holds& holds) const noexcept {
    return holds.name >> 48 == index_plus_1 &&
           (holds.name & generation_bits & mask) == generation && holds.map->contains(object);
  }
};

struct lost_hold {
  ended_hold what;
  lost_hold* next;
};

// Guarded by the table's mutex, which is held over a fork: a child has the lists whole.
constinit outlived_holds* all_outlived = nullptr;
// Of threads that have not ended. While they live, their mappings stay where they are.
constinit lost_hold* all_lost = nullptr;

// Requires: the table's mutex is held.
void subtract_lost(outlived_holds& holds) noexcept {
  for (lost_hold** link = &all_lost; *link != nullptr;) {
    if (!(*link)->what.is_of(holds)) {
      link = &(*link)->next;
      continue;
    }
    const std::unique_ptr<lost_hold> counted(*link);
    *link = counted->next;
    --holds.count;
  }
}

// Returns: whether the thread is one that has ended. `last`: what no object needs any more.
// Requires: the table's mutex is held.
bool end_one(const ended_hold& what, std::unique_ptr<outlived_holds>& last) noexcept {
  for (outlived_holds** link = &all_outlived; *link != nullptr; link = &(*link)->next) {
    outlived_holds& each = **link;
    if (!what.is_of(each)) continue;
    if (--each.count != 0) return true;
    last.reset(&each);
    *link = each.next;
    return true;
  }
  return false;
}

}  // namespace

void keep_for_holds(std::unique_ptr<outlived_holds> holds) noexcept {
  // Deleted after the mutex is released, as below.
  std::unique_ptr<outlived_holds> nobodys;
  const std::lock_guard hold(mapping_table::instance().mutex);
  subtract_lost(*holds);
  if (holds->count == 0) {
    nobodys = std::move(holds);
    return;
  }
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
  end_one({object, index_plus_1, generation, mask}, last);
}

void lose_hold(const void* object, std::uint64_t index_plus_1, std::uint64_t generation,
               std::uint64_t mask) noexcept {
  const ended_hold what{object, index_plus_1, generation, mask};
  std::unique_ptr<outlived_holds> last;  // as above
  const std::lock_guard hold(mapping_table::instance().mutex);
  // The thread may have ended since it was found alive.
  if (end_one(what, last)) return;
  if (auto* const lost = new (std::nothrow) lost_hold{what, all_lost}) all_lost = lost;
}

}  // namespace outlive::detail
