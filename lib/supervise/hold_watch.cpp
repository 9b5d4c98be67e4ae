#include "supervise/hold_watch.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "format/lock_state.hpp"
#include "records/held_entries.hpp"
#include "records/thread_records.hpp"

namespace outlive::detail {

void hold_watch::sample(time_point now) {
  holds_.clear();
  for (std::uint32_t index = 0; index < map_.record_count(); ++index) sample(index);
  times_.update(holds_, now);
  std::erase_if(reported_holds_, [&](const hold& each) { return !times_.held_for(each); });
}

void hold_watch::sample(std::uint32_t index) {
  const thread_record& record = map_.record(index);
  waits_[index] = {};
  if (!thread_records::is_held(record)) return;
  const thread_records::life life(record);
  const record_id me = holder_id(index, life.generation());
  const auto first = static_cast<std::ptrdiff_t>(holds_.size());
  waiting waits;
  held_entries(map_, index).for_each([&](const seen_entry& entry) {
    const hold seen{index, life.generation(), 0, entry.offset()};
    const lock_bytes* const lock = map_.lock_at(seen.mutex_offset).lock;
    if (lock == nullptr) return;
    const record_id holder = lock_state(lock->state.load(std::memory_order_acquire)).holder();
    if (holder == me) {
      // one that moves is there twice
      if (std::find(holds_.begin() + first, holds_.end(), seen) == holds_.end())
        holds_.push_back(seen);
    } else if (waits.held_by == 0 && holder &&
               thread_records::find(map_, holder, holder_generation_mask)) {
      waits = {seen, holder.index_plus_1};
    }
  });
  // Counted after the entries: a mutex that was released and acquired again meanwhile is another
  // hold.
  const std::uint64_t acquisitions = record.acquisitions.load(std::memory_order_acquire);
  for (auto each = holds_.begin() + first; each != holds_.end(); ++each)
    each->acquisitions = acquisitions;
  std::reverse(holds_.begin() + first, holds_.end());
  waits.for_mutex.acquisitions = acquisitions;
  waits_[index] = waits;
}

std::vector<long_hold> hold_watch::new_long_holds(std::chrono::nanoseconds threshold) {
  std::vector<long_hold> found;
  for (const hold& each : holds_) {
    const auto age = times_.held_for(each);
    if (age && *age >= threshold && reported_holds_.insert(each).second)
      found.push_back({each, *age});
  }
  return found;
}

// A thread waits for one mutex, which one record holds. So from each record there is one way to go,
// and it comes back or ends.
std::vector<cycle> hold_watch::find_cycles() const {
  std::vector<cycle> found;
  std::vector<std::uint32_t> visited_by(waits_.size(), 0);  // start + 1
  for (std::uint32_t start = 0; start < waits_.size(); ++start) {
    std::uint32_t at = start;
    while (visited_by[at] == 0 && waits_[at].held_by != 0 && waits_[at].held_by <= waits_.size()) {
      visited_by[at] = start + 1;
      at = waits_[at].held_by - 1;
    }
    if (waits_[at].held_by == 0 || visited_by[at] != start + 1) continue;
    cycle ring;
    const std::uint32_t first = at;
    do {
      ring.push_back(waits_[at].for_mutex);
      at = waits_[at].held_by - 1;
    } while (at != first);
    std::rotate(ring.begin(), std::min_element(ring.begin(), ring.end()), ring.end());
    found.push_back(std::move(ring));
  }
  return found;
}

std::vector<cycle> hold_watch::new_deadlocks() {
  const std::vector<cycle> now = find_cycles();
  const auto is_in = [](const std::vector<cycle>& all, const cycle& each) {
    return std::find(all.begin(), all.end(), each) != all.end();
  };
  std::erase_if(reported_cycles_, [&](const cycle& each) { return !is_in(now, each); });
  std::vector<cycle> found;
  for (const cycle& each : now) {
    if (is_in(cycles_, each) && !is_in(reported_cycles_, each)) found.push_back(each);
  }
  reported_cycles_.insert(reported_cycles_.end(), found.begin(), found.end());
  cycles_ = now;
  return found;
}

std::vector<hold> hold_watch::waiters_for(std::uint64_t offset) const {
  std::vector<hold> found;
  for (const waiting& each : waits_) {
    if (each.held_by != 0 && each.for_mutex.mutex_offset == offset) found.push_back(each.for_mutex);
  }
  return found;
}

bool hold_watch::still_holds(std::uint32_t index, std::uint64_t generation,
                             std::uint64_t offset) const noexcept {
  const lock_bytes* const lock = map_.lock_at(offset).lock;
  if (index >= map_.record_count() || lock == nullptr) return false;
  const thread_records::life life(map_.record(index));
  // The state last but for the generation: the thread that it names is the one that was found
  // alive.
  const bool dead = thread_records::is_dead(map_.record(index));
  const record_id holder = lock_state(lock->state.load(std::memory_order_acquire)).holder();
  return !dead && holder == holder_id(index, generation) && life.generation() == generation &&
         life.is_same();
}

}  // namespace outlive::detail
