// The protocol: docs/protocol.md, "Readers and writers", and docs/model/shared.pml. What holds
// between any two stores:
//
// I1  While the state is not {0, consistent} the gate is closed, and no living reader is inside: a
//     writer names itself after the drain, and forgets its name before it opens the gate. So a
//     repair runs alone, whoever becomes the heir, and needs no drain.
// I2  The state names a writer only while it is inside: one that dies while it waits for readers
//     has changed nothing, and nothing is repaired.
// I3  A gate that is closed, with {0, consistent} and nobody who has the native mutex, is a death's
//     remains, and harmless: who comes next opens it.
//
// A reader that finds the gate closed takes the writers' mutex, marks itself while it has it, opens
// the gate, and gives the mutex back. So readers wait where writers wait, the kernel tells them of
// a writer's death, and there is no second queue whose wake-ups could be lost.
#include "shared/shared_acquire.hpp"

#include <cerrno>
#include <utility>

#include <outlive/error.hpp>

#include "format/lock_state.hpp"
#include "mutex/attach.hpp"
#include "mutex/held_list.hpp"
#include "records/marks.hpp"
#include "shared/drain.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/membarrier.hpp"
#include "sys/native_mutex.hpp"
#include "sys/spin_pause.hpp"

namespace outlive::detail {

namespace {

constexpr int gate_spins = 100;
// How often a reader looks whether the gate opens before it queues up: writers that come one after
// the other could turn it away for ever.
constexpr int looks = 3;

acquisition turn_away(std::error_code error) noexcept {
  return {false, error, nullptr};
}

// With the slot on again. For who would wait for itself: an error where it would wait for ever,
// "somebody has it" for who only tries.
acquisition refuse_own(attachment& mine, const deadline& how_long) noexcept {
  put_slot_on(mine);
  return how_long.waits() ? turn_away(errc::deadlock) : acquisition{};
}

void give_back_natively(attachment& mine, shared_lock_bytes& lock, std::uint64_t offset) noexcept {
  count_acquisition(mine);
  native_mutex::unlock(lock.writers.native);
  crash_barrier();  // the entry until after the native unlock (U10)
  held_list::remove(mine, offset);
  put_slot_on(mine);
}

// ---- writers -----------------------------------------------------------------------------------

acquisition finish_unique(attachment& mine, shared_lock_bytes& lock, int rc,
                          const deadline& how_long) {
  lock_bytes& writers = lock.writers;
  const std::uint64_t offset = mine.map->offset_of(&lock);
  taking result = take(mine, writers, offset, rc, how_long, once_consistent::keep);
  if (!result.taken) return std::move(result.ended);
  // Who only tries does not turn others away for it.
  const drained readers = !how_long.waits() && has_readers(*mine.map, lock)
                              ? drained::timed_out
                              : drain(*mine.map, lock, how_long);
  if (readers != drained::clear) {
    open_gate(lock);
    give_back_natively(mine, lock, offset);
    return readers == drained::no_membarrier ? turn_away(errc::no_membarrier) : acquisition{};
  }
  writers.state.store(mine.me, std::memory_order_relaxed);
  crash_barrier();  // inside, before the user's first change
  count_acquisition(mine);
  put_slot_on(mine);
  return {true, {}, nullptr};
}

// ---- readers -----------------------------------------------------------------------------------

// Marks of this thread reach writers from now on.
bool prepare_marks(attachment& mine) noexcept {
  if (!mine.may_mark) mine.may_mark = !mine.map->has_plain_marks() || membarrier::join();
  return mine.may_mark;
}

// Takes a mark away that found the gate closed: nobody waits while marked.
void step_back(own_marks& marks, shared_lock_bytes& lock, std::uint32_t id) noexcept {
  marks.remove(id);
  if (lock.gate.load(std::memory_order_seq_cst) == gate_awaited) wake_drainer(lock);
}

bool spin_until_open(const shared_lock_bytes& lock) noexcept {
  for (int i = 0; i < gate_spins; ++i) {
    if (lock.gate.load(std::memory_order_relaxed) == gate_open) return true;
    spin_pause();
  }
  return false;
}

// By way of the writers' mutex, as the heir of a dead one if need be.
acquisition enter_through_mutex(attachment& mine, shared_lock_bytes& lock, own_marks& marks,
                                const deadline& how_long, const void* return_address) {
  const std::uint64_t offset = mine.map->offset_of(&lock);
  if (!held_list::push(mine, offset, return_address)) {
    put_slot_on(mine);
    return turn_away(errc::too_many_locks);
  }
  taking result = take(mine, lock.writers, offset, native_mutex::try_lock(lock.writers.native),
                       how_long, once_consistent::keep);
  if (!result.taken) return std::move(result.ended);
  const bool marked = marks.add(mark_id(offset));  // not where a repair has used up the room
  // marked before a writer could find neither mark nor mutex
  crash_barrier();
  open_gate(lock);
  give_back_natively(mine, lock, offset);
  return marked ? acquisition{true, {}, nullptr} : turn_away(errc::too_many_locks);
}

}  // namespace

acquisition acquire_unique(shared_lock_bytes& lock, const deadline& how_long,
                           const void* return_address) {
  const approach to = approach_lock(lock.writers, true, how_long);
  if (to.mine == nullptr) return turn_away(to.error);
  attachment& mine = *to.mine;
  if (is_held_by(lock.writers, mine) || own_marks(mine).has(mark_id(to.offset)))
    return refuse_own(mine, how_long);
  if (!held_list::push(mine, to.offset, return_address)) {
    put_slot_on(mine);
    return turn_away(errc::too_many_locks);
  }
  return finish_unique(mine, lock, native_mutex::try_lock(lock.writers.native), how_long);
}

acquisition acquire_unique_pushed(shared_lock_bytes& lock, int rc, const deadline& how_long) {
  attachment& mine = *current_slot.current;
  this_thread::deactivate();
  const std::uint64_t offset = mine.map->offset_of(&lock);
  const bool taken = rc == 0 || rc == EOWNERDEAD;
  if (!taken) {
    const auto view = mine.map->lock_at(offset);
    const bool damaged = view.lock == nullptr || !view.native || !view.shared;
    if (damaged || is_held_by(lock.writers, mine) || own_marks(mine).has(mark_id(offset))) {
      held_list::remove(mine, offset);
      if (!damaged) return refuse_own(mine, how_long);
      put_slot_on(mine);
      return turn_away(errc::damaged);
    }
  }
  return finish_unique(mine, lock, rc, how_long);
}

std::error_code release_unique(shared_lock_bytes& lock) noexcept {
  attachment* const mine = this_thread::attachment_of(&lock);
  // Asked before any store (U1). A lock under repair is {me, repairing}: the repair cannot give it
  // away.
  if (mine == nullptr || lock.writers.state.load(std::memory_order_relaxed) != mine->me)
    return errc::not_owner;
  this_thread::deactivate();
  lock.writers.state.store(free_consistent, std::memory_order_relaxed);
  crash_barrier();  // out, before the gate is open (I1)
  open_gate(lock);
  native_mutex::unlock(lock.writers.native);
  crash_barrier();  // the entry until after the native unlock (U10)
  held_list::remove(*mine, mine->map->offset_of(&lock));
  put_slot_on(*mine);
  return {};
}

acquisition acquire_shared(shared_lock_bytes& lock, const deadline& how_long,
                           const void* return_address) {
  const approach to = approach_lock(lock.writers, true, how_long);
  if (to.mine == nullptr) return turn_away(to.error);
  attachment& mine = *to.mine;
  if (!prepare_marks(mine)) {
    put_slot_on(mine);
    return turn_away(errc::no_membarrier);
  }
  if (is_held_by(lock.writers, mine)) return refuse_own(mine, how_long);
  own_marks marks(mine);
  const std::uint32_t id = mark_id(to.offset);
  const bool again = marks.has(id);
  for (int look = 0; look == 0 || (look < looks && spin_until_open(lock)); ++look) {
    if (!marks.add(id)) {
      put_slot_on(mine);
      return turn_away(errc::too_many_locks);
    }
    // Inside already: the gate is not asked, or this thread would wait for a writer that waits for
    // it.
    if (again || lock.gate.load(std::memory_order_seq_cst) == gate_open) {
      put_slot_on(mine);
      return {true, {}, nullptr};
    }
    step_back(marks, lock, id);
  }
  return enter_through_mutex(mine, lock, marks, how_long, return_address);
}

std::error_code release_shared(shared_lock_bytes& lock) noexcept {
  attachment* const mine = this_thread::attachment_of(&lock);
  if (mine == nullptr || !own_marks(*mine).remove(mark_id(mine->map->offset_of(&lock))))
    return errc::not_owner;
  crash_barrier();  // unmarked before the look at the gate
  if (lock.gate.load(std::memory_order_relaxed) == gate_awaited) wake_drainer(lock);
  end_spare_use(*mine);
  return {};
}

}  // namespace outlive::detail
