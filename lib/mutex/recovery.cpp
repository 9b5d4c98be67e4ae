#include "mutex/recovery.hpp"

#include <algorithm>
#include <vector>

#include <outlive/error.hpp>

#include "mutex/heir.hpp"
#include "mutex/held_list.hpp"
#include "records/adoption.hpp"
#include "records/held_entries.hpp"
#include "records/thread_records.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

using thread_records::record_snapshot;

// Finishes the kernel's work on the liveness mutex of a dead thread. Returns: whether it is dead.
bool mark_if_dead(mapping& map, std::uint32_t index, const deadline& limit) noexcept {
  const thread_record& record = map.record(index);
  if (!thread_records::is_dead(record)) return false;
  if (thread_records::is_held(record)) adopt_liveness_if_orphan(map, index, limit);
  return true;
}

// Judges a mutex that this thread does not hold. It does not wait for living holders. It waits for
// other adopters for a while.
struct recovery_judge {
  mapping& map;
  lock_bytes& lock;
  const deadline& for_adopters;
  bool adopted = false;
  bool postponed = false;

  // this thread's id in the word is that of an earlier thread (U6)
  static bool owns() noexcept { return false; }
  static bool is_look_due_at_once() noexcept { return true; }
  static void on_first_wait() noexcept {}
  adoption adopt(const deadline&) noexcept {
    const std::uint32_t before = native_mutex::word(lock.native);
    const adoption result = adopt_if_orphan(map, lock, for_adopters);
    adopted = result == adoption::done && (before & native_mutex::tid_mask) != 0;
    postponed = result == adoption::busy;
    return result;
  }
};

const void* this_code() noexcept {
  return __builtin_return_address(0);
}

// Acquires the native part of the mutex at `offset`, unless a living thread has it, or no entry is
// left for it. `report` says why not.
std::optional<native_hold> acquire_if_free(attachment& mine, std::uint64_t offset,
                                           const deadline& for_adopters,
                                           recovered_lock& report) noexcept {
  mapping& map = *mine.map;
  const auto view = map.lock_at(offset);
  if (view.lock == nullptr) return std::nullopt;
  if (!view.native) {
    report.result = refused(errc::damaged);
    return std::nullopt;
  }
  if (held_list::find(mine, offset) != nullptr) return std::nullopt;
  if (!held_list::push(mine, offset, this_code())) {
    report.result = refused(errc::too_many_locks);
    return std::nullopt;
  }
  recovery_judge judge{map, *view.lock, for_adopters};
  const native_result native =
      lock_natively(view.lock->native, native_mutex::try_lock(view.lock->native), no_wait, judge);
  const bool owner_died = native == native_result::inherited;
  report.adopted = judge.adopted && owner_died;
  if (is_acquired(native)) return native_hold{mine, *view.lock, offset, owner_died};
  held_list::remove(mine, offset);
  report.postponed = judge.postponed;
  if (native == native_result::damaged) report.result = refused(errc::damaged);
  return std::nullopt;
}

recovered_lock recover_lock(attachment& mine, const record_snapshot& dead, std::uint64_t offset,
                            const deadline& for_adopters) {
  recovered_lock report{dead.pid, dead.tid, offset};
  const auto hold = acquire_if_free(mine, offset, for_adopters, report);
  if (!hold) return report;
  report.result = make_consistent(*hold, once_consistent::release);
  // This is a child that the repair forked. It has no attachment any more, and nothing to recover.
  if (report.result.error == errc::forked_in_repair)
    throw std::system_error(report.result.error, "recovering in a forked child");
  return report;
}

// Forgets the origin of one unrepaired mutex.
void forget_origin(attachment& mine, std::uint64_t offset, const deadline& for_adopters) noexcept {
  recovered_lock report{0, 0, offset};
  const auto hold = acquire_if_free(mine, offset, for_adopters, report);
  if (!hold) return;
  const lock_state state(hold->lock.state.load(std::memory_order_acquire));
  if (state.condition() == lock_condition::unrepaired) {
    hold->lock.state.store(lock_state(0, lock_condition::unrepaired, state.attempts(), {}).word(),
                           std::memory_order_relaxed);
    crash_barrier();  // the new state before the native unlock
  }
  release_natively(*hold);
}

// Calls act(dead, offset) for each pending entry of a record. The owner's ids are read before the
// entry is found pending, and are right if the record's life is still the same afterwards: a
// pending entry keeps others from claiming the record.
template <class Act>
void for_each_pending(mapping& map, std::uint32_t index, Act act) {
  const thread_record& record = map.record(index);
  held_entries(map, index).for_each_upwards([&](const seen_entry& entry) {
    const record_snapshot dead(record);
    if (thread_records::is_pending(map, index, entry) && dead.is_same()) act(dead, entry.offset());
  });
}

}  // namespace

bool recover_dead(attachment& mine, std::optional<pid_t> pid, const deadline& limit,
                  const std::function<void(const recovered_lock&)>& report) {
  mapping& map = *mine.map;
  bool begun = false;
  // One slice in all, not one for each of thousands of mutexes.
  const deadline for_adopters = within_a_slice(limit);
  // A mutex that stays unrepaired can have an entry in two records, of the dead owner and of the
  // dead heir. One call must use up one attempt only.
  std::vector<std::uint64_t> failed_at;
  for (std::uint32_t index = 0; index < map.record_count(); ++index) {
    const thread_record& record = map.record(index);
    if (index == mine.index ||
        (pid && record.pid.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(*pid)))
      continue;
    if (!mark_if_dead(map, index, for_adopters)) continue;
    for_each_pending(map, index, [&](const record_snapshot& dead, std::uint64_t offset) {
      if (std::find(failed_at.begin(), failed_at.end(), offset) != failed_at.end()) return;
      if (begun && limit.is_over()) return;
      const recovered_lock done = recover_lock(mine, dead, offset, for_adopters);
      begun = begun || !done.result.is_busy();
      if (done.result.error) failed_at.push_back(offset);
      report(done);
    });
    if (begun && limit.is_over()) return false;
  }
  return true;
}

outcome try_rebuild(attachment& mine, std::uint64_t offset, const repair_callback& callback) {
  recovered_lock report{0, 0, offset};
  const auto hold = acquire_if_free(mine, offset, no_wait, report);
  return hold ? rebuild(*hold, callback) : report.result;
}

void forget_origins(attachment& mine, const deadline& limit) noexcept {
  mapping& map = *mine.map;
  const deadline for_adopters = within_a_slice(limit);
  for (std::uint32_t index = 0; index < map.record_count(); ++index) {
    if (index == mine.index || !mark_if_dead(map, index, for_adopters)) continue;
    for_each_pending(map, index, [&](const record_snapshot&, std::uint64_t offset) {
      forget_origin(mine, offset, for_adopters);
    });
  }
}

}  // namespace outlive::detail
