#include "mutex/acquire.hpp"

#include <cerrno>
#include <memory>

#include <outlive/error.hpp>

#include "mutex/attach.hpp"
#include "mutex/held_list.hpp"
#include "mutex/refused_tries.hpp"
#include "records/adoption.hpp"
#include "records/marks.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"
#include "sys/probes.hpp"

namespace outlive::detail {

namespace {

struct lock_judge {
  attachment& mine;
  lock_bytes& lock;
  bool waited = false;

  bool owns() const noexcept { return is_held_by(lock, mine); }
  static bool is_look_due_at_once() noexcept { return is_look_due(); }
  void on_first_wait() noexcept {
    shared_u64& count = mine.record->waits;
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    waited = true;
    OUTLIVE_PROBE(wait_begun, static_cast<const char*>(mine.map->constants().name),
                  mine.map->offset_of(&lock));
  }
  adoption adopt(const deadline& limit) noexcept { return adopt_if_orphan(*mine.map, lock, limit); }
};

attempt try_natively(lock_bytes& lock) noexcept {
  return static_cast<attempt>(native_mutex::try_lock(lock.native));
}

bool is_held_either_way(const attachment& mine, const lock_bytes& lock, bool shared) noexcept {
  return is_held_by(lock, mine) ||
         (shared && own_marks(mine).has(mark_id(mine.map->offset_of(&lock))));
}

// After a native refusal and before any wait: whether this is a mutex at all, and not the caller's
// own.
attachment* check_refused(attachment& mine, lock_bytes& lock, bool shared, const deadline& how_long,
                          outcome& ended) {
  const std::uint64_t offset = mine.map->offset_of(&lock);
  const auto view = mine.map->lock_at(offset);
  if (view.lock == nullptr || !view.native || view.shared != shared) {
    held_list::remove(mine, offset);
    ended = refuse(mine, errc::damaged);
    return nullptr;
  }
  if (is_held_either_way(mine, lock, shared)) {
    held_list::remove(mine, offset);
    ended = refuse_holder(mine, how_long);
    return nullptr;
  }
  return &mine;
}

}  // namespace

bool is_held_by(const lock_bytes& lock, const attachment& mine) noexcept {
  return lock_state(lock.state.load(std::memory_order_relaxed)).holder() == mine.id();
}

outcome refuse(attachment& mine, std::error_code error) noexcept {
  put_slot_on(mine);
  return refused(error);
}

outcome refuse_holder(attachment& mine, const deadline& how_long) noexcept {
  put_slot_on(mine);
  return how_long.waits() ? refused(errc::deadlock) : outcome{};
}

attachment* attach_to_lock(lock_bytes& lock, bool shared, const deadline& how_long,
                           outcome& ended) {
  this_thread::slot();
  this_thread::deactivate();
  attachment* const mine = this_thread::attachment_of(&lock);
  const std::shared_ptr<mapping> map = mine != nullptr ? mine->map : mapping_table::find(&lock);
  if (!map) {
    ended = refused(errc::not_in_segment);
    return nullptr;
  }
  const auto view = map->lock_at(map->offset_of(&lock));
  if (view.lock == nullptr || !view.native || view.shared != shared) {
    ended = refused(errc::damaged);
    return nullptr;
  }
  if (how_long.waits() && current_slot.wiped->repairs != 0) {
    ended = refused(errc::in_repair);
    return nullptr;
  }
  return mine != nullptr ? mine : attach(map, how_long);
}

attachment* begin_acquire(lock_bytes& lock, bool shared, attempt& so_far, const deadline& how_long,
                          const void* return_address, outcome& ended,
                          void (*before_try)(const attachment&, lock_bytes&,
                                             const deadline&) noexcept) {
  if (so_far != attempt::not_tried) {
    attachment& mine = *current_slot.current;
    this_thread::deactivate();
    const int rc = static_cast<int>(so_far);
    return rc == EBUSY || rc == EDEADLK ? check_refused(mine, lock, shared, how_long, ended)
                                        : &mine;
  }
  attachment* const mine = attach_to_lock(lock, shared, how_long, ended);
  if (mine == nullptr) return nullptr;
  if (is_held_either_way(*mine, lock, shared)) {
    ended = refuse_holder(*mine, how_long);
    return nullptr;
  }
  before_try(*mine, lock, how_long);
  if (!held_list::push(*mine, mine->map->offset_of(&lock), return_address)) {
    ended = refuse(*mine, errc::too_many_locks);
    return nullptr;
  }
  so_far = try_natively(lock);
  return mine;
}

outcome acquire_consistent(attachment& mine, lock_bytes& lock, attempt so_far,
                           const deadline& how_long, once_consistent then) {
  const std::uint64_t offset = mine.map->offset_of(&lock);
  lock_judge judge{mine, lock};
  const native_result native =
      lock_natively(lock.native, static_cast<int>(so_far), how_long, judge);
  if (judge.waited) {
    OUTLIVE_PROBE(wait_ended, static_cast<const char*>(mine.map->constants().name), offset,
                  static_cast<int>(is_acquired(native)));
  }
  if (!is_acquired(native)) {
    held_list::remove(mine, offset);
    if (native == native_result::own) return refuse(mine, errc::deadlock);
    if (native == native_result::damaged) return refuse(mine, errc::damaged);
    put_slot_on(mine);
    return {};
  }
  outcome result = make_consistent({mine, lock, offset, native == native_result::inherited}, then);
  // a forked child owns neither the record nor the slot
  if (result.error && result.error != errc::forked_in_repair) put_slot_on(mine);
  return result;
}

outcome acquire(lock_bytes& lock, attempt so_far, const deadline& how_long,
                const void* return_address) {
  outcome result;
  attachment* const mine = begin_acquire(lock, false, so_far, how_long, return_address, result);
  if (mine == nullptr) return result;
  result = acquire_consistent(*mine, lock, so_far, how_long, once_consistent::enter);
  if (!result.acquired) return result;
  count_acquisition(*mine);
  put_slot_on(*mine);
  return result;
}

std::error_code release(lock_bytes& lock, void (*before_unlock)(lock_bytes&) noexcept) noexcept {
  attachment* const mine = this_thread::attachment_of(&lock);
  // This check comes before any store (U1). A lock under repair is {me, repairing}, so the repair
  // cannot release it.
  if (mine == nullptr || lock.state.load(std::memory_order_relaxed) != mine->me)
    return errc::not_owner;
  this_thread::deactivate();
  lock.state.store(free_consistent, std::memory_order_relaxed);
  crash_barrier();  // outside, before another thread can have the mutex
  before_unlock(lock);
  native_mutex::unlock(lock.native);
  crash_barrier();  // the entry stays until after the native unlock (U10)
  held_list::remove(*mine, mine->map->offset_of(&lock));
  put_slot_on(*mine);
  return {};
}

}  // namespace outlive::detail
