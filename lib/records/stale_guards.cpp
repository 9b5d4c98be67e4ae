#include "records/stale_guards.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>

#include "records/marks.hpp"
#include "sys/at_load.hpp"
#include "sys/fork_epoch.hpp"

namespace outlive::detail::stale_guards {

namespace {

// No process's epoch.
constexpr std::uint64_t never = ~std::uint64_t{0};

bool has_marks(const mark_line& line) noexcept {
  return std::any_of(std::begin(line.at), std::end(line.at), [](const shared_u32& mark) {
    return mark.load(std::memory_order_relaxed) != 0;
  });
}

// Whether a thread of this process has a mutex there, alone or shared. A held list has no gaps.
bool has_holders(const mapping& map) noexcept {
  const auto own = map.known_participant();
  if (!own) return false;
  const std::uint32_t end = records_in_use(map);
  for (std::uint32_t i = 0; i < end; ++i) {
    if (map.record(i).participant.load(std::memory_order_relaxed) != *own) continue;
    if (map.held(i)->place.load(std::memory_order_relaxed) != 0 ||
        has_marks(map.mark_slots_of(i)) || has_marks(map.spilled_marks_of(i)))
      return true;
  }
  return false;
}

// Held over a fork, before the table's.
constinit std::mutex fork_mutex;

void look_before_fork() {
  fork_mutex.lock();
  mapping_table& table = mapping_table::instance();
  const std::lock_guard hold(table.mutex);
  for (mapping* const each : table.all())
    each->clean_at_fork = !possible(*each) && !has_holders(*each);
}

// In the parent this changes nothing: its epoch is what it was.
void note_after_fork() {
  mapping_table& table = mapping_table::instance();
  {
    const std::lock_guard hold(table.mutex);
    for (mapping* const each : table.all()) {
      std::uint64_t before = each->own_guards_epoch.load(std::memory_order_relaxed);
      if (!each->clean_at_fork || before == never) continue;
      each->own_guards_epoch.compare_exchange_strong(before, process_epoch(),
                                                     std::memory_order_relaxed);
    }
  }
  fork_mutex.unlock();
}

}  // namespace

void watch_forks() {
  static const bool watched = [] {
    mapping_table::instance();  // its handlers come first, so that its mutex is locked after ours
    around_fork(&look_before_fork, &note_after_fork);
    return true;
  }();
  static_cast<void>(watched);
}

namespace {

const made_at_load forks_at_load([] { watch_forks(); });

}  // namespace

void attached_to(mapping& map) noexcept {
  std::uint64_t nobody = 0;
  map.own_guards_epoch.compare_exchange_strong(nobody, process_epoch(), std::memory_order_relaxed);
}

// Before the kernel lets others have the mutex, so that none of them sees the older value.
void left_in(mapping& map) noexcept {
  map.own_guards_epoch.store(never, std::memory_order_relaxed);
}

bool possible(const mapping& map) noexcept {
  return map.own_guards_epoch.load(std::memory_order_relaxed) != process_epoch();
}

}  // namespace outlive::detail::stale_guards
