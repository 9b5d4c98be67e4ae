#include "supervise/hold_watch.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <system_error>
#include <utility>

#include "format/lock_state.hpp"
#include "records/handed_count.hpp"
#include "records/held_entries.hpp"
#include "records/marks.hpp"
#include "records/thread_records.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

void hold_watch::sample(time_point now) {
  holds_.clear();
  std::exception_ptr failure;
  try {
    companions_.sample();
  } catch (const std::system_error&) {
    failure = std::current_exception();
  }
  for (std::uint32_t index = 0; index < map_.record_count(); ++index) sample(index);
  holds_.insert(holds_.end(), companions_.holds().begin(), companions_.holds().end());
  std::vector<hold_times::hold> all;
  all.reserve(holds_.size());
  for (const seen_hold& each : holds_) all.push_back(each.of);
  times_.update(all, now);
  std::erase_if(reported_holds_, [&](const seen_hold& each) { return !times_.held_for(each.of); });
  if (failure) std::rethrow_exception(failure);
}

// Who has a mutex that the thread has in hand and does not hold. The first that is found counts.
void hold_watch::find_who_is_waited_for(waiting& waits, std::uint32_t index, const lock_bytes& lock,
                                        bool shared) const {
  const record_id holder = lock_state(lock.state.load(std::memory_order_acquire)).holder();
  if (holder) {
    if (const auto at = thread_records::find(map_, holder, holder_generation_mask))
      waits.on.push_back(*at);
    return;
  }
  // Nobody is inside. A writer that waits for readers has the native mutex, and so has a thread
  // that is about to enter or has just left.
  const std::uint32_t tid = native_mutex::word(lock.native) & native_mutex::tid_mask;
  const auto has_it = [&](std::uint32_t record) {
    return map_.record(record).tid.load(std::memory_order_relaxed) == tid &&
           thread_records::is_held(map_.record(record));
  };
  if (tid == 0) return;
  const bool mine = has_it(index);
  if (mine && !shared) return;
  const std::uint32_t id = mark_id(map_.offset_of(&lock));
  for (std::uint32_t record = 0; record < map_.record_count(); ++record) {
    if (mine ? is_reader(map_, record, id) : has_it(record)) waits.on.push_back(record);
  }
}

void hold_watch::sample_entry(std::uint32_t index, const thread_records::life& life,
                              std::uint64_t offset, std::size_t first) {
  const seen_hold seen{{index, life.generation(), 0, offset}, held_kind::mutex};
  const auto [lock, native, shared] = map_.lock_at(offset);
  if (lock == nullptr || !native) return;
  const record_id holder = lock_state(lock->state.load(std::memory_order_acquire)).holder();
  if (holder == holder_id(index, life.generation())) {
    // one that moves is there twice
    if (std::find(holds_.begin() + static_cast<std::ptrdiff_t>(first), holds_.end(), seen) ==
        holds_.end())
      holds_.push_back(seen);
  } else if (waiting& waits = waits_[index]; waits.on.empty()) {
    waits.for_what = seen;
    find_who_is_waited_for(waits, index, *lock, shared);
  }
}

// A mark that is there while a writer is inside is that of a thread that only tries.
void hold_watch::sample_marks(std::uint32_t index, std::uint64_t generation) {
  mark_ids ids;
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(marks_in(map_, index, ids));
  std::sort(ids.begin(), end);
  for (auto id = ids.begin(), last = std::unique(ids.begin(), end); id != last; ++id) {
    const std::uint64_t offset = std::uint64_t{*id} * cache_line;
    const auto [lock, native, shared] = map_.lock_at(offset);
    if (lock == nullptr || !shared ||
        lock_state(lock->state.load(std::memory_order_acquire)).holder())
      continue;
    holds_.push_back({{index, generation, 0, offset}, held_kind::shared});
  }
}

void hold_watch::sample(std::uint32_t index) {
  const thread_record& record = map_.record(index);
  waiting& waits = waits_[index];
  waits = {};
  if (!thread_records::is_held(record)) return;
  const thread_records::life life(record);
  const std::size_t first = holds_.size();
  held_entries(map_, index).for_each([&](const seen_entry& entry) {
    sample_entry(index, life, entry.offset(), first);
  });
  const auto begin = holds_.begin() + static_cast<std::ptrdiff_t>(first);
  std::reverse(begin, holds_.end());
  sample_marks(index, life.generation());
  if (const std::uint64_t pool =
          std::uint64_t{record.sleeps_for.load(std::memory_order_relaxed)} * cache_line;
      pool != 0 && waits.on.empty()) {
    waits = {{{index, life.generation(), 0, pool}, held_kind::permit},
             companions_.holders_of_all(pool),
             true,
             false};
    // A permit on its way names the thread that has handed it over: another one may return it.
    waits.may_go_on = std::any_of(waits.on.begin(), waits.on.end(), [&](std::uint32_t on) {
      return on < map_.record_count() && handed_hint::is_set(map_.record(on));
    });
  }
  // Counted after the entries: a mutex that was released and acquired again meanwhile is another
  // hold.
  const std::uint64_t acquisitions = record.acquisitions.load(std::memory_order_acquire);
  for (std::size_t i = first; i < holds_.size(); ++i) holds_[i].of.acquisitions = acquisitions;
  waits.for_what.of.acquisitions = acquisitions;
}

std::vector<long_hold> hold_watch::new_long_holds(std::chrono::nanoseconds threshold) {
  std::vector<long_hold> found;
  for (const seen_hold& each : holds_) {
    const auto age = times_.held_for(each.of);
    if (age && *age >= threshold && reported_holds_.insert(each).second)
      found.push_back({each, *age});
  }
  return found;
}

// A thread that does not wait can go on. One that waits can when all have let go of what it waits
// for, or one of them where that is enough. What is left when this finds no more is stuck.
std::vector<bool> hold_watch::find_stuck() const {
  std::vector<bool> stuck(waits_.size());
  for (std::size_t i = 0; i < waits_.size(); ++i)
    stuck[i] = !waits_[i].on.empty() && !waits_[i].may_go_on;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < waits_.size(); ++i) {
      if (!stuck[i]) continue;
      const auto is_stuck = [&](std::uint32_t on) { return on < stuck.size() && stuck[on]; };
      const auto& on = waits_[i].on;
      if (waits_[i].for_any ? std::all_of(on.begin(), on.end(), is_stuck)
                            : std::any_of(on.begin(), on.end(), is_stuck))
        continue;
      stuck[i] = false;
      changed = true;
    }
  }
  return stuck;
}

// From each stuck thread there is a way to one that is stuck, too. It ends in a circle.
std::vector<cycle> hold_watch::find_cycles() const {
  const std::vector<bool> stuck = find_stuck();
  const auto next_of = [&](std::uint32_t at) {
    return *std::find_if(waits_[at].on.begin(), waits_[at].on.end(),
                         [&](std::uint32_t on) { return on < stuck.size() && stuck[on]; });
  };
  std::vector<cycle> found;
  std::vector<std::uint32_t> visited_by(waits_.size(), 0);  // start + 1
  for (std::uint32_t start = 0; start < waits_.size(); ++start) {
    if (!stuck[start]) continue;
    std::uint32_t at = start;
    for (; visited_by[at] == 0; at = next_of(at)) visited_by[at] = start + 1;
    if (visited_by[at] != start + 1) continue;
    cycle ring;
    const std::uint32_t first = at;
    do {
      ring.push_back(waits_[at].for_what);
      at = next_of(at);
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

std::vector<hold_times::hold> hold_watch::waiters_for(std::uint64_t offset) const {
  std::vector<hold_times::hold> found;
  for (const waiting& each : waits_) {
    if (!each.on.empty() && each.for_what.of.mutex_offset == offset)
      found.push_back(each.for_what.of);
  }
  return found;
}

bool hold_watch::still_holds(std::uint32_t index, std::uint64_t generation, std::uint64_t offset,
                             held_kind kind) const {
  const auto reported =
      std::find_if(reported_holds_.begin(), reported_holds_.end(), [&](const seen_hold& each) {
        return each.of.record == index && each.of.generation == generation &&
               each.of.mutex_offset == offset && each.kind == kind;
      });
  const lock_bytes* const lock = map_.lock_at(offset).lock;
  const bool is_companion = kind == held_kind::job || kind == held_kind::permit;
  if (index >= map_.record_count() ||
      (is_companion ? reported == reported_holds_.end() : lock == nullptr))
    return false;
  const thread_records::life life(map_.record(index));
  // What it has last but for the generation: the thread that it names is the one that was found
  // alive.
  if (thread_records::is_dead(map_.record(index))) return false;
  bool holds = false;
  if (is_companion) {
    holds = companions_.still_holds(*reported);
  } else if (kind == held_kind::shared) {
    holds = is_reader(map_, index, mark_id(offset));
  } else {
    const record_id holder = lock_state(lock->state.load(std::memory_order_acquire)).holder();
    holds = holder == holder_id(index, generation);
  }
  return holds && life.generation() == generation && life.is_same();
}

}  // namespace outlive::detail
