// The protocol: docs/protocol.md, "Readers and writers", and docs/model/shared.pml. Between any two
// stores this holds:
//
// I1  While the state is not {0, consistent}, the gate is closed and no living reader is inside: a
//     writer stores its name after the drain, and clears it before it opens the gate. So a repair
//     runs alone, whichever thread is the heir, and needs no drain.
// I2  The state names a writer only while it is inside. A writer that dies while it waits for
//     readers has changed nothing, and nothing is repaired.
// I3  A closed gate with {0, consistent}, while no thread has the native mutex, is left by a death.
//     It is harmless: the next thread opens it.
//
// A reader that finds the gate closed acquires the writers' mutex, marks itself while it has it,
// opens the gate, and releases the mutex. So readers wait where writers wait, the kernel reports a
// writer's death to them, and there is no second queue whose wake-ups could be lost. It counts
// itself while it waits there, and writers let it go first: waiting_readers.hpp.
#include "shared/shared_acquire.hpp"

#include <cerrno>

#include <outlive/error.hpp>

#include "mutex/acquire.hpp"
#include "mutex/attach.hpp"
#include "mutex/held_list.hpp"
#include "records/marks.hpp"
#include "shared/drain.hpp"
#include "shared/waiting_readers.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/membarrier.hpp"
#include "sys/native_mutex.hpp"
#include "sys/spin_pause.hpp"

namespace outlive::detail {

namespace {

constexpr int gate_spins = 100;
// How often a reader looks whether the gate opens before it acquires the writers' mutex. Without a
// limit, writers that follow each other could keep it out for ever.
constexpr int gate_looks = 3;

void release_writers(attachment& mine, shared_lock_bytes& lock) noexcept {
  release_natively({mine, lock.writers, mine.map->offset_of(&lock), false});
  put_slot_on(mine);
}

// ---- readers -----------------------------------------------------------------------------------

// From now on writers see the marks of this thread.
bool prepare_marks(attachment& mine) noexcept {
  if (!mine.may_mark) mine.may_mark = !mine.map->has_plain_marks() || membarrier::join();
  return mine.may_mark;
}

// Removes a mark behind which the gate was found closed: no thread waits while marked.
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

// Enters by the writers' mutex, as the heir of a dead writer if there is one.
outcome enter_through_mutex(attachment& mine, shared_lock_bytes& lock, own_marks& marks,
                            const deadline& how_long, const void* return_address) {
  const std::uint64_t offset = mine.map->offset_of(&lock);
  if (!held_list::push_for_a_moment(mine, offset, return_address))
    return refuse(mine, {});  // in a repair, which only tries: as if the mutex were busy
  const int rc = native_mutex::try_lock(lock.writers.native);
  outcome result;
  {
    waiting_reader counted(lock, rc == EBUSY && how_long.waits());
    result = acquire_consistent(mine, lock.writers, static_cast<attempt>(rc), how_long,
                                once_consistent::keep);
    if (result.error == errc::forked_in_repair) counted.leave_to_parent();
  }
  if (!result.acquired) return result;
  const bool marked = marks.add(mark_id(offset));  // false if a repair has used up the room
  crash_barrier();  // marked before a writer could find neither the mark nor the mutex
  open_gate(lock);
  release_writers(mine, lock);
  return marked ? outcome{.acquired = true} : refused(errc::too_many_locks);
}

}  // namespace

outcome acquire_unique(shared_lock_bytes& lock, attempt so_far, const deadline& how_long,
                       const void* return_address) {
  lock_bytes& writers = lock.writers;
  outcome result;
  attachment* const attached =
      begin_acquire(writers, true, so_far, how_long, return_address, result,
                    [](const attachment& mine, lock_bytes& of, const deadline& limit) noexcept {
                      let_readers_first(mine, reinterpret_cast<shared_lock_bytes&>(of), limit);
                    });
  if (attached == nullptr) return result;
  attachment& mine = *attached;
  result = acquire_consistent(mine, writers, so_far, how_long, once_consistent::keep);
  if (!result.acquired) return result;
  // A caller that only tries does not close the gate here while readers are inside: it would turn
  // others away.
  outcome readers = !how_long.waits() && has_readers(*mine.map, lock)
                        ? outcome{}
                        : drain(*mine.map, lock, how_long);
  if (!readers.acquired) {
    open_gate(lock);
    release_writers(mine, lock);
    return readers;
  }
  writers.state.store(mine.me, std::memory_order_relaxed);
  crash_barrier();  // inside, before the user's first change
  count_acquisition(mine);
  put_slot_on(mine);
  return result;
}

std::error_code release_unique(shared_lock_bytes& lock) noexcept {
  // The gate is opened when the state says that the writer is out (I1).
  return release(lock.writers, [](lock_bytes& writers) noexcept {
    open_gate(reinterpret_cast<shared_lock_bytes&>(writers));
  });
}

// As a reader that came in by the writers' mutex: it is marked while it still has that. If it dies
// after the mark, and before the state says that the writer is out, the mark is void and a repair
// is due (I1).
std::error_code downgrade(shared_lock_bytes& lock) noexcept {
  attachment* const mine = this_thread::attachment_of(&lock);
  // before any store (U1), as in release()
  if (mine == nullptr || lock.writers.state.load(std::memory_order_relaxed) != mine->me)
    return errc::not_owner;
  if (!prepare_marks(*mine)) return errc::no_membarrier;
  if (!own_marks(*mine).add(mark_id(mine->map->offset_of(&lock)))) return errc::too_many_locks;
  count_acquisition(*mine);  // for supervisors: a hold that began now
  crash_barrier();           // marked before a writer could find neither the mark nor the mutex
  return release_unique(lock);
}

outcome acquire_shared(shared_lock_bytes& lock, const deadline& how_long,
                       const void* return_address) {
  outcome result;
  attachment* const attached = attach_to_lock(lock.writers, true, how_long, result);
  if (attached == nullptr) return result;
  attachment& mine = *attached;
  if (!prepare_marks(mine)) return refuse(mine, errc::no_membarrier);
  if (is_held_by(lock.writers, mine)) return refuse_holder(mine, how_long);
  own_marks marks(mine);
  const std::uint32_t id = mark_id(mine.map->offset_of(&lock));
  const bool again = marks.has(id);
  for (int look = 0; look == 0 || (look < gate_looks && spin_until_open(lock)); ++look) {
    if (!marks.add(id)) return refuse(mine, errc::too_many_locks);
    // A thread that is inside already does not look at the gate. It would wait for a writer that
    // waits for it.
    if (again || lock.gate.load(std::memory_order_seq_cst) == gate_open) {
      count_acquisition(mine);
      put_slot_on(mine);
      return {.acquired = true};
    }
    step_back(marks, lock, id);
  }
  return enter_through_mutex(mine, lock, marks, how_long, return_address);
}

std::error_code release_shared(shared_lock_bytes& lock) noexcept {
  attachment* const mine = this_thread::attachment_of(&lock);
  if (mine == nullptr || !own_marks(*mine).remove(mark_id(mine->map->offset_of(&lock))))
    return errc::not_owner;
  crash_barrier();  // the mark is gone before the look at the gate
  if (lock.gate.load(std::memory_order_relaxed) == gate_awaited) wake_drainer(lock);
  end_spare_use(*mine);
  return {};
}

}  // namespace outlive::detail
