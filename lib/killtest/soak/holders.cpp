#include "killtest/soak/holders.hpp"

#include <atomic>
#include <cstring>
#include <utility>

#include <outlive/death_log.hpp>

#include "format/lock_state.hpp"
#include "records/held_entries.hpp"

namespace outlive::killtest::detail {

using outlive::detail::held_entries;
using outlive::detail::held_entry;
using outlive::detail::lock_bytes;
using outlive::detail::lock_state;
using outlive::detail::seen_entry;
using outlive::detail::thread_record;

holders::holders(const segment& seg) : base_(static_cast<const char*>(seg.base())) {
  outlive::detail::segment_constants constants;
  std::memcpy(&constants, base_, sizeof constants);
  at_ = outlive::detail::region_layout::of(constants);
  held_places_ = outlive::detail::held_places(constants);
}

bool holders::is_inside(pid_t pid) const noexcept {
  for (std::uint64_t i = 0; i < at_.record_count; ++i) {
    const auto* const record =
        reinterpret_cast<const thread_record*>(base_ + at_.records + i * at_.record_stride);
    if (record->pid.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(pid) &&
        has_lock(i))
      return true;
  }
  return false;
}

// A held entry alone says that the thread has the lock or wants it. The lock's state says whether
// the thread is inside.
bool holders::has_lock(std::uint64_t record) const noexcept {
  const auto* const held = reinterpret_cast<const held_entry*>(
      base_ + at_.records + record * at_.record_stride + sizeof(thread_record));
  return held_entries(held, held_places_).any_of([&](const seen_entry& entry) {
    if (entry.offset() < at_.objects || entry.offset() + sizeof(lock_bytes) > at_.total)
      return false;
    const auto* const lock = reinterpret_cast<const lock_bytes*>(base_ + entry.offset());
    const lock_state state(lock->state.load(std::memory_order_acquire));
    return state.holder().index_plus_1 == record + 1;
  });
}

void death_counter::read() {
  std::set<std::uint64_t> repaired;
  for (const logged_death& each : death_log(seg_)) {
    if (each.owner.known) owners_.insert({each.owner.pid, each.owner.tid, each.owner.start_time});
    if (each.outcome != death_outcome::repaired) continue;
    repaired.insert(each.number);
    if (!repaired_.contains(each.number)) ++repairs_;
  }
  repaired_ = std::move(repaired);
}

}  // namespace outlive::killtest::detail
