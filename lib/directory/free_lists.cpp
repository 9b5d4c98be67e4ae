#include "directory/free_lists.hpp"

#include "directory/blocks.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail::blocks {

namespace {

std::uint32_t& freed_list(mapping& map, std::uint64_t type) noexcept {
  return map.header().directory_counts.freed[type % free_lists];
}

bool is_kind(const block_header& block, std::uint64_t type, std::uint64_t size,
             std::uint64_t lines) noexcept {
  return block.type == type && block.size == size && block.lines == lines;
}

// In the first block of a kind: line + 1 of the first one of the next kind. It replaces the check
// of a live block's name.
std::uint32_t next_kind(const block_header& block) noexcept {
  return __atomic_load_n(&block.name_check, __ATOMIC_RELAXED);
}

bool is_freed_block(const mapping& map, std::uint32_t line) noexcept {
  return has_sound_extent(map, line) && state_of(at(map, line)) == block_state::freed;
}

// A link may be a first block's `name_check`, which look-ups read without the mutex.
void set(std::uint32_t& link, std::uint32_t value) noexcept {
  __atomic_store_n(&link, value, __ATOMIC_RELAXED);
}

// Calls visit(block, its link) for the first block of each kind in the type's list, until it
// returns false. Returns: false if the list is damaged, or longer than possible.
template <class Visit>
bool for_each_kind(mapping& map, std::uint64_t type, Visit visit) {
  std::uint32_t* link = &freed_list(map, type);
  for (std::uint64_t steps = 0; *link != 0; ++steps) {
    const std::uint32_t line = *link - 1;
    if (steps > map.layout().object_lines || !is_freed_block(map, line)) return false;
    block_header& block = at(map, line);
    if (block.type % free_lists != type % free_lists) return false;
    if (!visit(block, *link)) return true;
    link = &block.name_check;
  }
  return true;
}

// Drops a damaged list: a recount lists its blocks again.
void drop_list(mapping& map, std::uint64_t type) noexcept {
  map.header().directory_counts.stale.store(1, std::memory_order_relaxed);
  crash_barrier();  // the recount is due before the blocks are on no list
  set(freed_list(map, type), 0);
}

// Unlinks a block of the kind of `first`, by one store. 0: the list is damaged.
std::uint32_t unlink_of_kind(mapping& map, block_header& first, std::uint32_t& link) noexcept {
  const std::uint32_t second = first.next_freed;
  if (second == 0) {
    const std::uint32_t popped = link;
    const std::uint32_t next = next_kind(first);
    if (next != 0 && !is_freed_block(map, next - 1)) return 0;
    set(link, next);
    return popped;
  }
  if (!is_freed_block(map, second - 1)) return 0;
  const block_header& block = at(map, second - 1);
  // A first block is never a second: the one behind it would be allocated while it is on the list.
  if (second == link || !is_kind(block, first.type, first.size, first.lines)) return 0;
  set(first.next_freed, block.next_freed);
  return second;
}

}  // namespace

popped_block pop_freed(mapping& map, std::uint64_t type, std::uint64_t size,
                       std::uint64_t lines) noexcept {
  block_header* best = nullptr;
  std::uint32_t* best_link = nullptr;
  const bool sound = for_each_kind(map, type, [&](block_header& first, std::uint32_t& link) {
    if (first.type != type || first.size != size || first.lines < lines) return true;
    if (best != nullptr && first.lines >= best->lines) return true;
    best = &first;
    best_link = &link;
    return first.lines != lines;
  });
  if (sound && best == nullptr) return {};
  const std::uint32_t popped = sound ? unlink_of_kind(map, *best, *best_link) : 0;
  if (popped == 0) drop_list(map, type);
  return {popped, popped == 0};
}

void list_freed(mapping& map, std::uint32_t line) noexcept {
  block_header& block = at(map, line);
  block_header* first = nullptr;
  const bool sound = for_each_kind(map, block.type, [&](block_header& each, std::uint32_t&) {
    if (is_kind(each, block.type, block.size, block.lines)) first = &each;
    return first == nullptr;
  });
  if (!sound) return drop_list(map, block.type);
  // Release: "freed" is visible before the name changes. Pairs with load_live_name().
  std::atomic_thread_fence(std::memory_order_release);
  std::uint32_t& link = first != nullptr ? first->next_freed : freed_list(map, block.type);
  set(block.next_freed, first != nullptr ? link : 0);
  set(block.name_check, first != nullptr ? 0 : link);
  crash_barrier();  // the rest of the list before its new member
  set(link, line + 1);
}

}  // namespace outlive::detail::blocks
