#include "mutex/acquire.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include <outlive/error.hpp>

#include "mutex/attach.hpp"
#include "mutex/held_list.hpp"
#include "mutex/refused_tries.hpp"
#include "records/adoption.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

acquisition refuse(std::error_code error) noexcept {
  return {false, error, nullptr};
}

struct lock_judge {
  attachment& mine;
  lock_bytes& lock;

  bool owns() const noexcept { return is_held_by(lock, mine); }
  static bool looks_at_once() noexcept { return is_look_due(); }
  void waits() noexcept {
    shared_u64& count = mine.record->waits;
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  adoption adopt(const deadline& limit) noexcept { return adopt_if_orphan(*mine.map, lock, limit); }
};

acquisition finish(attachment& mine, lock_bytes& lock, std::uint64_t offset, int rc,
                   const deadline& how_long) {
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

approach approach_lock(lock_bytes& lock, bool shared, const deadline& how_long) {
  this_thread::slot();
  this_thread::deactivate();
  attachment* mine = this_thread::attachment_of(&lock);
  const std::shared_ptr<mapping> map = mine != nullptr ? mine->map : mapping_table::find(&lock);
  if (!map) return {nullptr, 0, errc::not_in_segment};
  const std::uint64_t offset = map->offset_of(&lock);
  const auto view = map->lock_at(offset);
  if (view.lock == nullptr || !view.native || view.shared != shared)
    return {nullptr, 0, errc::damaged};
  if (how_long.waits() && current_slot.wiped->repairs != 0) return {nullptr, 0, errc::in_repair};
  if (mine == nullptr) mine = attach_in_time(map, how_long);
  return {mine, offset, {}};
}

taking take(attachment& mine, lock_bytes& lock, std::uint64_t offset, int rc,
            const deadline& how_long, once_consistent then) {
  lock_judge judge{mine, lock};
  const native_result result = take_natively(lock.native, rc, how_long, judge);
  if (!is_taken(result)) {
    held_list::remove(mine, offset);
    put_slot_on(mine);
    if (result == native_result::busy) return {};
    return {false, refuse(result == native_result::own ? errc::deadlock : errc::damaged)};
  }
  settled done = settle({mine, lock, offset, result == native_result::inherited}, then);
  if (!done.error) return {true, {}};
  // of that nothing here is this process's
  if (done.error != errc::forked_in_repair) put_slot_on(mine);
  return {false, {false, done.error, done.thrown}};
}

acquisition acquire(lock_bytes& lock, const deadline& how_long, const void* return_address) {
  const approach to = approach_lock(lock, false, how_long);
  if (to.mine == nullptr) return refuse(to.error);
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
  const std::uint64_t offset = mine.map->offset_of(&lock);
  if (rc == EBUSY || rc == EDEADLK) {
    const auto view = mine.map->lock_at(offset);
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
  // Asked before any store (U1). A lock under repair is {me, repairing}: the repair cannot give it
  // away.
  if (mine == nullptr || lock.state.load(std::memory_order_relaxed) != mine->me)
    return errc::not_owner;
  this_thread::deactivate();
  lock.state.store(free_consistent, std::memory_order_relaxed);
  crash_barrier();  // out, before the mutex is anybody's
  native_mutex::unlock(lock.native);
  crash_barrier();  // the entry until after the native unlock (U10)
  held_list::remove(*mine, mine->map->offset_of(&lock));
  put_slot_on(*mine);
  return {};
}

}  // namespace outlive::detail
