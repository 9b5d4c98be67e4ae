#include "supervise/hold_watch.hpp"

#include <algorithm>
#include <utility>

#include "format/lock_state.hpp"
#include "records/held_entries.hpp"
#include "records/thread_records.hpp"

namespace outlive::detail {

void hold_watch::sample(time_point now) {
  for (std::uint32_t index = 0; index < map_.record_count(); ++index) sample(index, now);
}

void hold_watch::sample(std::uint32_t index, time_point now) {
  record_sample& last = records_[index];
  const thread_record& record = map_.record(index);
  last.waits_for = 0;
  last.held_by = 0;
  if (!thread_records::is_held(record)) return last.holds.clear();

  // The count before the entries and after them: a mutex that was given back and taken again in
  // between is another hold.
  const std::uint64_t generation = record.generation.load(std::memory_order_acquire);
  const std::uint64_t acquisitions = record.acquisitions.load(std::memory_order_acquire);
  const bool got_on = generation != std::exchange(last.generation, generation) ||
                      acquisitions != std::exchange(last.acquisitions, acquisitions);
  const record_id me{index + 1, static_cast<std::uint32_t>(generation & holder_generation_mask)};
  std::vector<hold> holds;
  held_entries(map_, index).for_each([&](const seen_entry& entry) {
    const std::uint64_t offset = entry.offset();
    const lock_bytes* const lock = map_.lock_at(offset).lock;
    if (lock == nullptr) return;
    const auto is_this = [&](const hold& each) { return each.offset == offset; };
    const record_id holder = lock_state(lock->state.load(std::memory_order_acquire)).holder();
    if (holder == me) {
      // one that moves is there twice
      if (std::any_of(holds.begin(), holds.end(), is_this)) return;
      const auto before = std::find_if(last.holds.begin(), last.holds.end(), is_this);
      holds.push_back(before == last.holds.end() || got_on ? hold{offset, now, false} : *before);
    } else if (last.waits_for == 0 && holder &&
               thread_records::find(map_, holder, holder_generation_mask)) {
      last.waits_for = offset;
      last.held_by = holder.index_plus_1;
    }
  });
  std::reverse(holds.begin(), holds.end());  // in the order in which they were taken
  last.acquisitions = record.acquisitions.load(std::memory_order_acquire);
  if (last.acquisitions != acquisitions) {
    for (hold& each : holds) each = {each.offset, now, false};
  }
  last.holds = std::move(holds);
}

std::vector<long_hold> hold_watch::take_long_holds(std::chrono::nanoseconds threshold,
                                                   time_point now) {
  std::vector<long_hold> found;
  for (std::uint32_t index = 0; index < records_.size(); ++index) {
    record_sample& record = records_[index];
    for (hold& each : record.holds) {
      if (now - each.since < threshold || std::exchange(each.told, true)) continue;
      found.push_back(
          {{index, record.generation, record.acquisitions, each.offset}, now - each.since});
    }
  }
  return found;
}

// Who waits does so for one mutex, which one record holds: from each record there is one way to go,
// and it comes back or ends.
std::vector<cycle> hold_watch::find_cycles() const {
  std::vector<cycle> found;
  std::vector<std::uint32_t> visited_by(records_.size(), 0);  // start + 1
  for (std::uint32_t start = 0; start < records_.size(); ++start) {
    std::uint32_t at = start;
    while (visited_by[at] == 0 && records_[at].held_by != 0 &&
           records_[at].held_by <= records_.size()) {
      visited_by[at] = start + 1;
      at = records_[at].held_by - 1;
    }
    if (records_[at].held_by == 0 || visited_by[at] != start + 1) continue;
    cycle ring;
    const std::uint32_t first = at;
    do {
      ring.push_back(
          {at, records_[at].generation, records_[at].acquisitions, records_[at].waits_for});
      at = records_[at].held_by - 1;
    } while (at != first);
    std::rotate(ring.begin(),
                std::min_element(ring.begin(), ring.end(),
                                 [](const hand& a, const hand& b) { return a.index < b.index; }),
                ring.end());
    found.push_back(std::move(ring));
  }
  return found;
}

std::vector<cycle> hold_watch::take_deadlocks() {
  const std::vector<cycle> now = find_cycles();
  const auto is_in = [](const std::vector<cycle>& all, const cycle& each) {
    return std::find(all.begin(), all.end(), each) != all.end();
  };
  std::erase_if(told_, [&](const cycle& each) { return !is_in(now, each); });
  std::vector<cycle> found;
  for (const cycle& each : now) {
    if (is_in(seen_, each) && !is_in(told_, each)) found.push_back(each);
  }
  told_.insert(told_.end(), found.begin(), found.end());
  seen_ = now;
  return found;
}

std::vector<hand> hold_watch::waiters_for(std::uint64_t offset) const {
  std::vector<hand> found;
  for (std::uint32_t index = 0; index < records_.size(); ++index) {
    const record_sample& each = records_[index];
    if (each.waits_for == offset)
      found.push_back({index, each.generation, each.acquisitions, offset});
  }
  return found;
}

bool hold_watch::still_holds(std::uint32_t index, std::uint64_t generation,
                             std::uint64_t offset) const noexcept {
  if (index >= map_.record_count()) return false;
  const lock_bytes* const lock = map_.lock_at(offset).lock;
  const record_id me{index + 1, static_cast<std::uint32_t>(generation & holder_generation_mask)};
  if (lock == nullptr) return false;
  const thread_records::life life(map_.record(index));
  // The state last but for the generation: the thread that it names is the one that was found
  // alive.
  const bool dead = thread_records::is_dead(map_.record(index));
  const record_id holder = lock_state(lock->state.load(std::memory_order_acquire)).holder();
  return !dead && holder == me && life.generation() == generation && life.is_same();
}

}  // namespace outlive::detail
