#include "sync/acquire.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include <outlive/error.hpp>

#include "segment/adoption.hpp"
#include "sync/attach.hpp"
#include "sync/held_list.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

constexpr std::chrono::milliseconds slice(250);

acquisition refuse(std::error_code error) noexcept {
  return {false, error, nullptr};
}

// Waits for the native mutex in slices, and between them looks for an owner that is dead but was not marked. Returns what pthread says in the end.
int wait_natively(attachment& mine, lock_bytes& lock, int rc, const deadline& how_long) noexcept {
  // EDEADLK, and yet not inside: the word holds this thread's id, but from a former bearer (U6).
  if (rc == EDEADLK && !is_held_by(lock, mine) && adopt_if_orphan(*mine.where, lock)) rc = native_mutex::try_lock(lock.native);
  shared_u64& waits = mine.record->waits;
  if (rc == EBUSY && how_long.waits()) waits.store(waits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  while (rc == EBUSY && how_long.waits()) {
    const auto span = std::clamp<std::chrono::nanoseconds>(how_long.left(), std::chrono::nanoseconds::zero(), slice);
    rc = native_mutex::lock_until(lock.native, std::chrono::steady_clock::now() + span);
    if (rc == 0 || rc == EOWNERDEAD) return rc;
    if (rc != ETIMEDOUT) return rc;
    adopt_if_orphan(*mine.where, lock);
    // One more look at the end: an orphan may just have been adopted.
    rc = native_mutex::try_lock(lock.native);
    if (rc == EBUSY && how_long.is_over()) return rc;
  }
  return rc;
}

acquisition finish(attachment& mine, lock_bytes& lock, std::uint64_t offset, int rc, const deadline& how_long) {
  taking result = take(mine, lock, offset, rc, how_long, once_consistent::enter);
  if (!result.taken) return std::move(result.ended);
  count_acquisition(mine);
  put_slot_on(mine);
  return {true, {}, nullptr};
}

}  // namespace

bool is_held_by(const lock_bytes& lock, const attachment& mine) noexcept {
  return lock_state(lock.state.load(std::memory_order_relaxed)).holder() == mine.id();
}

void put_slot_on(attachment& mine) noexcept {
  if (current_slot.wiped->repairs == 0) this_thread::activate(mine);
}

approach approach_lock(lock_bytes& lock, bool shared, const deadline& how_long) {
  this_thread::slot();
  this_thread::deactivate();
  attachment* mine = this_thread::attachment_of(&lock);
  const std::shared_ptr<mapping> where = mine != nullptr ? mine->where : mapping_table::find(&lock);
  if (!where) return {nullptr, 0, errc::not_in_segment};
  const std::uint64_t offset = where->offset_of(&lock);
  const auto view = where->lock_at(offset);
  if (view.lock == nullptr || !view.native || view.shared != shared) return {nullptr, 0, errc::damaged};
  if (how_long.waits() && current_slot.wiped->repairs != 0) return {nullptr, 0, errc::in_repair};
  if (mine == nullptr) mine = &attach_this_thread(where);
  return {mine, offset, {}};
}

taking take(attachment& mine, lock_bytes& lock, std::uint64_t offset, int rc, const deadline& how_long, once_consistent then) {
  rc = wait_natively(mine, lock, rc, how_long);
  if (rc != 0 && rc != EOWNERDEAD) {
    held_list::remove(mine, offset);
    put_slot_on(mine);
    if (rc == EBUSY) return {};
    return {false, refuse(rc == EDEADLK ? errc::deadlock : errc::damaged)};
  }
  settled done = settle({mine, lock, offset, rc}, then);
  if (!done.error) return {true, {}};
  if (done.error != errc::forked_in_repair) put_slot_on(mine);  // of that nothing here is this process's
  return {false, {false, done.error, done.thrown}};
}

acquisition acquire(lock_bytes& lock, const deadline& how_long, const void* return_address) {
  const approach to = approach_lock(lock, false, how_long);
  if (to.error) return refuse(to.error);
  attachment& mine = *to.mine;
  if (is_held_by(lock, mine)) {
    put_slot_on(mine);
    return how_long.waits() ? refuse(errc::deadlock) : acquisition{};
  }
  if (!held_list::push(mine, to.offset, return_address)) {
    put_slot_on(mine);
    return refuse(errc::too_many_locks);
  }
  return finish(mine, lock, to.offset, native_mutex::try_lock(lock.native), how_long);
}

acquisition acquire_pushed(lock_bytes& lock, int rc, const deadline& how_long) {
  attachment& mine = *current_slot.current;
  this_thread::deactivate();
  const std::uint64_t offset = mine.where->offset_of(&lock);
  if (rc == EBUSY || rc == EDEADLK) {
    const auto view = mine.where->lock_at(offset);
    const bool damaged = view.lock == nullptr || !view.native;
    if (damaged || is_held_by(lock, mine)) {
      held_list::remove(mine, offset);
      put_slot_on(mine);
      if (damaged) return refuse(errc::damaged);
      return how_long.waits() ? refuse(errc::deadlock) : acquisition{};
    }
  }
  return finish(mine, lock, offset, rc, how_long);
}

std::error_code release(lock_bytes& lock) noexcept {
  attachment* const mine = this_thread::attachment_of(&lock);
  // Asked before any store (U1). A lock under repair is {me, repairing}: the repair cannot give it away.
  if (mine == nullptr || lock.state.load(std::memory_order_relaxed) != mine->me) return errc::not_owner;
  this_thread::deactivate();
  lock.state.store(free_consistent, std::memory_order_relaxed);
  crash_barrier();  // out, before the mutex is anybody's
  native_mutex::unlock(lock.native);
  crash_barrier();  // the entry until after the native unlock (U10)
  held_list::remove(*mine, mine->where->offset_of(&lock));
  put_slot_on(*mine);
  return {};
}

}  // namespace outlive::detail
