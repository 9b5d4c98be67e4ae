#include "mutex/heir.hpp"

#include <cxxabi.h>

#include <chrono>
#include <exception>

#include <outlive/error.hpp>

#include "directory/lock_class.hpp"
#include "mutex/held_list.hpp"
#include "repair/death_log.hpp"
#include "repair/registry.hpp"
#include "repair/report.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

// What the state says of the past: who died inside, how often that was repaired in vain, and who
// died repairing.
struct inheritance {
  record_id origin;
  std::uint32_t origin_mask;
  record_id former_heir;
  unsigned attempts;
};

inheritance read_inheritance(lock_state state) noexcept {
  switch (state.condition()) {
    case lock_condition::consistent: return {state.holder(), holder_generation_mask, {}, 0};
    case lock_condition::repairing:
      return {state.origin(), origin_generation_mask, state.holder(), state.attempts()};
    case lock_condition::unrepaired:
    case lock_condition::not_recoverable: break;
  }
  return {state.origin(), origin_generation_mask, {}, state.attempts()};
}

void store(const native_hold& at, lock_state state) noexcept {
  at.lock.state.store(state.word(), std::memory_order_relaxed);
  // each state before what follows from it: the repair, native consistent, the user's changes
  crash_barrier();
}

// Whenever the native call said EOWNERDEAD, consistent comes before unlock: glibc's ENOTRECOVERABLE
// is never entered (U8, A37, A38).
void make_natively_consistent(const native_hold& at) noexcept {
  if (at.owner_died) native_mutex::consistent(at.lock.native);
  crash_barrier();
}

outcome refuse(const native_hold& at, std::error_code error) noexcept {
  release_natively(at);
  return refused(error);
}

outcome go_on(const native_hold& at, once_consistent then, bool repaired) noexcept {
  const outcome result{true, repaired, {}, nullptr};
  if (then == once_consistent::release) {
    release_natively(at);
    return result;
  }
  make_natively_consistent(at);
  if (repaired) {
    held_entry* const entry = held_list::find(at.mine, at.offset);
    // Release, as in put(): who reads this place reads the address that belongs to it.
    entry->place.store(at.offset | held_recovered, std::memory_order_release);
  }
  if (then == once_consistent::keep) return result;
  at.lock.state.store(at.mine.me, std::memory_order_relaxed);
  crash_barrier();  // inside, before the user's first change
  return result;
}

// For the time of a repair the fast path is off and lock() is refused.
class repair_scope {
 public:
  repair_scope() noexcept : epoch_(process_epoch()) { ++current_slot.wiped->repairs; }
  repair_scope(const repair_scope&) = delete;
  repair_scope& operator=(const repair_scope&) = delete;
  ~repair_scope() {
    if (!is_child()) --current_slot.wiped->repairs;
  }
  // The repair forked, and this is the child: its slot was wiped, the mutex and the record are the
  // parent's.
  [[nodiscard]] bool is_child() const noexcept { return process_epoch() != epoch_; }

 private:
  std::uint64_t epoch_;
};

// What the repair throws is in `thrown`.
template <class Callback>
repair_result run(const Callback& repair, const death_facts& facts, std::exception_ptr& thrown) {
  try {
    return repair(owner_death(facts));
  } catch (abi::__forced_unwind&) {
    throw;  // pthread_exit or cancellation: the thread ends as an owner, {me, repairing} stays (U5)
  } catch (...) {
    thrown = std::current_exception();
    return failed;
  }
}

outcome give_up(const native_hold& at, death_facts& facts, const inheritance& past,
                lock_condition condition, std::error_code error) {
  const bool for_ever = condition == lock_condition::not_recoverable;
  log_death(*at.mine.map, facts, at.mine.id(),
            for_ever ? death_outcome::not_recoverable : death_outcome::unrepaired);
  store(at, lock_state(0, condition, past.attempts, for_ever ? record_id{} : past.origin));
  return refuse(at, error);
}

// What the user calls for to rebuild data that no repair mended: it is the caller's, so there is
// nothing to let go of.
struct rebuild_run {
  const repair_callback& callback;
  repair_result operator()(const owner_death& death) const { return callback(death); }
  void end() noexcept {}
};

template <class Callback>
outcome repair(const native_hold& at, Callback& callback, death_facts& facts,
               const inheritance& past, once_consistent then, bool keeps_exception) {
  mapping& map = *at.mine.map;
  const unsigned attempts = past.attempts + 1;
  facts.attempt = attempts;
  const std::uint64_t entry = log_death(map, facts, at.mine.id(), death_outcome::repairing);
  store(at, lock_state(at.mine.me & holder_mask, lock_condition::repairing, attempts, past.origin));

  const auto begun = std::chrono::steady_clock::now();
  repair_result done = failed;
  std::exception_ptr thrown;
  {
    const repair_scope scope;
    done = run(callback, facts, thrown);
    // The callback, if it took itself out, and an exception that nobody will see end here, as a
    // part of the repair: they may own the last handle of the segment, whose end gives the record
    // of a thread back that holds nothing. This one has its entry, now and no longer.
    callback.end();
    if (!keeps_exception) thrown = nullptr;
    if (scope.is_child()) return {false, false, errc::forked_in_repair, thrown};
  }
  crash_barrier();  // the repair's last store before the state that vouches for it
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
  if (done == repaired) {
    store(at, lock_state(free_consistent));
    log_outcome(map, entry, death_outcome::repaired, took);
    return go_on(at, then, true);
  }
  const bool last = attempts >= map.constants().attempts;
  store(at, last ? lock_state(0, lock_condition::not_recoverable, attempts, {})
                 : lock_state(0, lock_condition::unrepaired, attempts, past.origin));
  log_outcome(map, entry, last ? death_outcome::not_recoverable : death_outcome::failed, took);
  release_natively(at);
  return {false, false, errc::repair_failed, thrown};
}

}  // namespace

void release_natively(const native_hold& at) noexcept {
  count_acquisition(at.mine);
  make_natively_consistent(at);
  native_mutex::unlock(at.lock.native);
  crash_barrier();  // the entry until after the native unlock (U10)
  held_list::remove(at.mine, at.offset);
}

outcome make_consistent(const native_hold& at, once_consistent then) {
  const lock_state found(at.lock.state.load(std::memory_order_acquire));
  // the owner never was inside, or was out already
  if (found.word() == free_consistent) return go_on(at, then, false);
  if (!found.is_valid()) return refuse(at, errc::damaged);
  if (found.condition() == lock_condition::not_recoverable)
    return refuse(at, errc::not_recoverable);

  mapping& map = *at.mine.map;
  const auto lock_class = fitting_lock_class(map, at.lock);
  // another class's repair would write over something else
  if (!lock_class) return refuse(at, errc::damaged);
  const inheritance past = read_inheritance(found);
  // Looked up before any store: a process without a repair must not use an attempt up (U8).
  repair_run callback(map, at.offset, *lock_class);
  const bool used_up = past.attempts >= map.constants().attempts;
  if (!callback && !used_up && found.condition() == lock_condition::unrepaired)
    return refuse(at, errc::owner_died_unrepaired);

  death_facts facts;
  gather(facts, map, at.lock, past.origin, past.origin_mask, past.former_heir);
  if (used_up)
    return give_up(at, facts, past, lock_condition::not_recoverable, errc::not_recoverable);
  if (!callback)
    return give_up(at, facts, past, lock_condition::unrepaired, errc::owner_died_unrepaired);
  return repair(at, callback, facts, past, then, then != once_consistent::release);
}

// The same stores as a repair's, so that a death in the middle is one that heirs know: of a rebuild
// that nothing more was allowed to mend, the next one makes "not recoverable" again.
outcome rebuild(const native_hold& at, const repair_callback& callback) {
  const lock_state found(at.lock.state.load(std::memory_order_acquire));
  if (found.word() == free_consistent) return go_on(at, once_consistent::release, false);
  if (!found.is_valid()) return refuse(at, errc::damaged);
  mapping& map = *at.mine.map;
  if (!fitting_lock_class(map, at.lock)) return refuse(at, errc::damaged);
  inheritance past = read_inheritance(found);
  // As the last attempt, if attempts are used up: their number must stay one that the state can
  // hold.
  const unsigned allowed = map.constants().attempts;
  const bool for_ever = found.condition() == lock_condition::not_recoverable;
  if (for_ever || past.attempts >= allowed) past.attempts = allowed - 1;
  death_facts facts;
  gather(facts, map, at.lock, past.origin, past.origin_mask, past.former_heir);
  rebuild_run run{callback};
  return repair(at, run, facts, past, once_consistent::release, true);
}

}  // namespace outlive::detail
