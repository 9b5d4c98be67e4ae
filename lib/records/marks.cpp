#include "records/marks.hpp"

#include <algorithm>
#include <iterator>

#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

// A slot that has the bit already is not stored again for a further spilled mark, so the spilled
// mark itself is what a writer must see. The loads are seq_cst, as those of the slots: with the
// writer's exchange of the gate before them, and the reader's exchange of the mark before its look
// at the gate, one of the two sees the other. A load with acquire may be older than the gate (ldapr
// after stlxr).
bool holds(const mark_line& line, std::uint32_t id) noexcept {
  return std::any_of(std::begin(line.at), std::end(line.at), [&](const shared_u32& mark) {
    return mark.load(std::memory_order_seq_cst) == id;
  });
}

bool shows(std::uint32_t slot, const mark_line& spilled, std::uint32_t id) noexcept {
  return (slot & ~mark_spilled) == id || ((slot & mark_spilled) != 0 && holds(spilled, id));
}

shared_u32* find(mark_line& line, std::uint32_t id) noexcept {
  const auto found = std::find_if(
      std::begin(line.at), std::end(line.at),
      [&](const shared_u32& mark) { return mark.load(std::memory_order_relaxed) == id; });
  return found == std::end(line.at) ? nullptr : found;
}

}  // namespace

own_marks::own_marks(const attachment& mine) noexcept
    : slots_(mine.map->mark_slots_of(mine.index)),
      spilled_(mine.map->spilled_marks_of(mine.index)),
      plain_(mine.map->has_plain_marks()) {}

// The full fence between a reader's mark and its look at the gate; in the plain form it is the
// writer's membarrier that makes one of it.
void own_marks::put(shared_u32& mark, std::uint32_t value) noexcept {
  if (plain_) {
    mark.store(value, std::memory_order_release);
    crash_barrier();
  } else {
    mark.exchange(value, std::memory_order_seq_cst);
  }
}

bool own_marks::has(std::uint32_t id) const noexcept {
  return shows(slots_.at[id % mark_slots].load(std::memory_order_relaxed), spilled_, id);
}

bool own_marks::add(std::uint32_t id) noexcept {
  shared_u32& slot = slots_.at[id % mark_slots];
  const std::uint32_t now = slot.load(std::memory_order_relaxed);
  if ((now & ~mark_spilled) == 0) {
    put(slot, now | id);
    return true;
  }
  shared_u32* const free = find(spilled_, 0);
  if (free == nullptr) return false;
  put(*free, id);
  // after the mark, which it makes count
  if ((now & mark_spilled) == 0) put(slot, now | mark_spilled);
  return true;
}

bool own_marks::remove(std::uint32_t id) noexcept {
  shared_u32& slot = slots_.at[id % mark_slots];
  const std::uint32_t now = slot.load(std::memory_order_relaxed);
  // One that is there twice goes from the spilled marks first, so that the one in the slot, which
  // takes no search, stays.
  shared_u32* const spilled = (now & mark_spilled) != 0 ? find(spilled_, id) : nullptr;
  if (spilled != nullptr) {
    spilled->store(0, std::memory_order_release);
    crash_barrier();  // gone before the slot says that there is none
    const bool more =
        std::any_of(std::begin(spilled_.at), std::end(spilled_.at), [&](const shared_u32& mark) {
          const std::uint32_t other = mark.load(std::memory_order_relaxed);
          return other != 0 && other % mark_slots == id % mark_slots;
        });
    if (!more) slot.store(now & ~mark_spilled, std::memory_order_release);
    return true;
  }
  if ((now & ~mark_spilled) != id) return false;
  slot.store(now & mark_spilled, std::memory_order_release);
  return true;
}

std::uint32_t records_in_use(const mapping& map) noexcept {
  // Seq_cst: a writer asks after its exchange of the gate, a reader is counted before its first
  // mark and its look at the gate (count_in()). So one of the two sees the other.
  const std::uint32_t stored = map.header().records_in_use.load(std::memory_order_seq_cst);
  const std::uint32_t count = stored & 0xffff;
  return is_guarded_count(stored) && count <= map.record_count() ? count : map.record_count();
}

bool is_reader(const mapping& map, std::uint32_t index, std::uint32_t id) noexcept {
  if (!shows(map.mark_slots_of(index).at[id % mark_slots].load(std::memory_order_seq_cst),
             map.spilled_marks_of(index), id))
    return false;
  const thread_record& record = map.record(index);
  const std::uint32_t tid = native_mutex::word(record.liveness) & native_mutex::tid_mask;
  return tid != 0 && tid == record.tid.load(std::memory_order_acquire);
}

std::uint32_t count_readers(const mapping& map, std::uint32_t id) noexcept {
  std::uint32_t count = 0;
  const std::uint32_t end = records_in_use(map);
  for (std::uint32_t index = next_marked(map, 0, end, id); index < end;
       index = next_marked(map, index + 1, end, id)) {
    count += is_reader(map, index, id) ? 1U : 0U;
  }
  return count;
}

std::size_t marks_in(const mapping& map, std::uint32_t index, mark_ids& ids) noexcept {
  std::size_t count = 0;
  bool has_spilled = false;
  for (const shared_u32& slot : map.mark_slots_of(index).at) {
    const std::uint32_t mark = slot.load(std::memory_order_acquire);
    has_spilled = has_spilled || (mark & mark_spilled) != 0;
    if ((mark & ~mark_spilled) != 0) ids[count++] = mark & ~mark_spilled;
  }
  if (!has_spilled) return count;
  for (const shared_u32& spilled : map.spilled_marks_of(index).at) {
    if (const std::uint32_t mark = spilled.load(std::memory_order_acquire)) ids[count++] = mark;
  }
  return count;
}

std::uint32_t next_marked(const mapping& map, std::uint32_t from, std::uint32_t end,
                          std::uint32_t id) noexcept {
  // By a pointer to that slot of each line: an index costs as much arithmetic as all else.
  constexpr std::size_t line = sizeof(mark_line) / sizeof(shared_u32);
  const shared_u32* at = (&map.mark_slots_of(0) + from)->at + id % mark_slots;
  const auto mark = [&](std::size_t ahead) {
    return at[ahead * line].load(std::memory_order_seq_cst);
  };
  std::uint32_t left = end - from;
  for (; left >= 4 && (mark(0) | mark(1) | mark(2) | mark(3)) == 0; left -= 4) at += 4 * line;
  for (; left != 0 && mark(0) == 0; --left) at += line;
  return end - left;
}

}  // namespace outlive::detail
