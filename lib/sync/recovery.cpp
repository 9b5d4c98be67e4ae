#include "sync/recovery.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <outlive/error.hpp>

#include "segment/adoption.hpp"
#include "segment/thread_records.hpp"
#include "sync/held_list.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

// Whether the record's thread is dead; finishes the kernel's work on its liveness mutex if need be.
bool is_dead_for_good(mapping& where, std::uint32_t index) noexcept {
  const thread_record& record = where.record(index);
  if (!thread_records::is_held(record)) return true;
  if (!thread_records::is_dead(record)) return false;
  adopt_liveness_if_orphan(where, index);
  return true;
}

// Takes the mutex natively if it is free or an orphan. EBUSY: a living thread has it.
int try_take(mapping& where, lock_bytes& lock, bool& adopted) noexcept {
  int rc = native_mutex::try_lock(lock.native);
  if (rc != EBUSY && rc != EDEADLK) return rc;  // EDEADLK: this thread's id from a former bearer, for it is not in hand (U6)
  const std::uint32_t before = native_mutex::word(lock.native);
  if (!adopt_if_orphan(where, lock)) return EBUSY;
  rc = native_mutex::try_lock(lock.native);
  adopted = rc == EOWNERDEAD && (before & native_mutex::tid_mask) != 0;
  return rc;
}

const void* this_code() noexcept {
  return __builtin_return_address(0);
}

// Puts the mutex at `offset` in the thread's hand. Empty: a living thread has it, or no entry is left for it.
struct taken {
  lock_bytes* lock = nullptr;
  int rc = EBUSY;
  bool adopted = false;
  bool no_room = false;  // the thread's held list is full
};

taken take(attachment& mine, std::uint64_t offset) noexcept {
  mapping& where = *mine.where;
  const auto view = where.lock_at(offset);
  taken result{view.lock, EBUSY, false, false};
  if (view.lock == nullptr || !view.native || held_list::find(mine, offset) != nullptr) return result;
  if (!held_list::push(mine, offset, this_code())) {
    result.no_room = true;
    return result;
  }
  result.rc = try_take(where, *view.lock, result.adopted);
  if (result.rc != 0 && result.rc != EOWNERDEAD) {
    held_list::remove(mine, offset);
    result.rc = EBUSY;
  }
  return result;
}

struct dead_bearer {
  pid_t pid;
  pid_t tid;
};

recovered_lock recover_lock(attachment& mine, const dead_bearer& dead, std::uint64_t offset) {
  recovered_lock told{dead.pid, dead.tid, offset, true, false, {}};
  const taken got = take(mine, offset);
  if (got.no_room) told.result.error = errc::too_many_locks;
  told.busy = got.rc == EBUSY && !got.no_room;
  if (got.rc == EBUSY) return told;
  told.adopted = got.adopted;
  told.result = settle({mine, *got.lock, offset, got.rc}, once_consistent::leave);
  // The repair forked, and this is the child: it has no attachment any more, and nothing to recover.
  if (told.result.error == errc::forked_in_repair) throw std::system_error(told.result.error, "recovering in a forked child");
  return told;
}

// Forgets the origin of one unrepaired mutex.
void forget_origin(attachment& mine, std::uint64_t offset) noexcept {
  const taken got = take(mine, offset);
  if (got.rc == EBUSY) return;
  count_acquisition(mine);
  const lock_state state(got.lock->state.load(std::memory_order_acquire));
  if (state.condition() == lock_condition::unrepaired) {
    got.lock->state.store(lock_state(0, lock_condition::unrepaired, state.attempts(), {}).word(), std::memory_order_relaxed);
    crash_barrier();  // the new state before the native unlock
  }
  if (got.rc == EOWNERDEAD) native_mutex::consistent(got.lock->native);
  native_mutex::unlock(got.lock->native);
  crash_barrier();
  held_list::remove(mine, offset);
}

// Calls act(dead, offset) for each pending entry of a record. Who the dead thread was is read before the entry is found pending, and counts if
// the record is at the same life after: a pending entry keeps others from claiming the record.
template <class Act>
void for_each_pending(mapping& where, std::uint32_t index, Act act) {
  const held_entry* const held = where.held(index);
  const thread_record& record = where.record(index);
  for (std::uint32_t i = 0; i < where.constants().max_held; ++i) {
    const std::uint64_t place = held[i].place.load(std::memory_order_acquire);
    if (place == 0) continue;
    const thread_records::life life(record);
    const dead_bearer dead{static_cast<pid_t>(record.pid.load(std::memory_order_relaxed)),
                           static_cast<pid_t>(record.tid.load(std::memory_order_acquire))};
    if (!thread_records::is_pending(where, index, place) || !life.is_same()) continue;
    act(dead, place & held_offset_mask);
  }
}

}  // namespace

void recover_dead(attachment& mine, std::optional<pid_t> pid, const std::function<void(const recovered_lock&)>& tell) {
  mapping& where = *mine.where;
  // A mutex that stays unrepaired stands in two records, the dead owner's and the dead heir's: one call uses one attempt.
  std::vector<std::uint64_t> failed_at;
  for (std::uint32_t index = 0; index < where.record_count(); ++index) {
    const thread_record& record = where.record(index);
    if (index == mine.index || (pid && record.pid.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(*pid))) continue;
    if (!is_dead_for_good(where, index)) continue;
    for_each_pending(where, index, [&](const dead_bearer& dead, std::uint64_t offset) {
      if (std::find(failed_at.begin(), failed_at.end(), offset) != failed_at.end()) return;
      const recovered_lock done = recover_lock(mine, dead, offset);
      if (done.result.error) failed_at.push_back(offset);
      tell(done);
    });
  }
}

std::optional<settled> try_rebuild(attachment& mine, std::uint64_t offset, const repair_callback& callback) {
  const taken got = take(mine, offset);
  if (got.no_room) return settled{errc::too_many_locks, false, nullptr};
  if (got.rc == EBUSY) return std::nullopt;
  return rebuild({mine, *got.lock, offset, got.rc}, callback);
}

void forget_origins(attachment& mine) noexcept {
  mapping& where = *mine.where;
  for (std::uint32_t index = 0; index < where.record_count(); ++index) {
    if (index == mine.index || !is_dead_for_good(where, index)) continue;
    for_each_pending(where, index, [&](const dead_bearer&, std::uint64_t offset) { forget_origin(mine, offset); });
  }
}

}  // namespace outlive::detail
