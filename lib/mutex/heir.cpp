#include "mutex/heir.hpp"

#include <cxxabi.h>

#include <chrono>
#include <exception>

#include <outlive/error.hpp>

#include "directory/lock_class.hpp"
#include "mutex/held_list.hpp"
#include "repair/death_log.hpp"
#include "repair/events.hpp"
#include "repair/registry.hpp"
#include "repair/report.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"
#include "sys/probes.hpp"

namespace outlive::detail {

namespace {

// What the state says about the past: who died inside, how many repairs of that failed, and who
// died in a repair.
struct inheritance {
  record_id origin;
  std::uint32_t origin_mask;
  record_id former_heir;
  unsigned attempts;
  // Nobody died with the mutex since an earlier heir met this death.
  bool met_before;
};

inheritance read_inheritance(lock_state state) noexcept {
  switch (state.condition()) {
    case lock_condition::consistent: return {state.holder(), holder_generation_mask, {}, 0, false};
    case lock_condition::repairing:
      return {state.origin(), origin_generation_mask, state.holder(), state.attempts(), false};
    case lock_condition::unrepaired:
    case lock_condition::not_recoverable: break;
  }
  return {state.origin(), origin_generation_mask, {}, state.attempts(), true};
}

void store(const native_hold& at, lock_state state) noexcept {
  at.lock.state.store(state.word(), std::memory_order_relaxed);
  // each state comes before what follows from it: the repair, native consistent, the user's changes
  crash_barrier();
}

// If the native call returned EOWNERDEAD, consistent comes before unlock, so that the mutex never
// becomes glibc's ENOTRECOVERABLE (U8, A37, A38).
void make_natively_consistent(const native_hold& at) noexcept {
  if (at.owner_died) native_mutex::consistent(at.lock.native);
  crash_barrier();
}

outcome refuse(const native_hold& at, std::error_code error) noexcept {
  release_natively(at);
  return refused(error);
}

outcome finish(const native_hold& at, once_consistent then, bool repaired) noexcept {
  const outcome result{true, repaired, {}, nullptr};
  if (then == once_consistent::release) {
    release_natively(at);
    return result;
  }
  make_natively_consistent(at);
  if (repaired) {
    held_entry* const entry = held_list::find(at.mine, at.offset);
    // Release, as in put(): a thread that reads this place reads the address that belongs to it.
    entry->place.store(at.offset | held_recovered, std::memory_order_release);
  }
  if (then == once_consistent::keep) return result;
  at.lock.state.store(at.mine.me, std::memory_order_relaxed);
  crash_barrier();  // inside, before the user's first change
  return result;
}

// While a repair runs, the fast path is off and lock() is refused.
class repair_scope {
 public:
  repair_scope() noexcept : epoch_(process_epoch()) { ++current_slot.wiped->repairs; }
  repair_scope(const repair_scope&) = delete;
  repair_scope& operator=(const repair_scope&) = delete;
  ~repair_scope() {
    if (!is_child()) --current_slot.wiped->repairs;
  }
  // Whether this is a child that the repair forked. Its slot was wiped, and the mutex and the
  // record belong to the parent.
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
    throw;  // pthread_exit or cancellation: the thread ends as the owner in {me, repairing} (U5)
  } catch (...) {
    thrown = std::current_exception();
    return failed;
  }
}

// Calls the program's handler. It comes after the store that counts the attempt or gives the mutex
// up: otherwise a handler that crashes would kill each heir, without limit.
// Returns: false in a child that the handler forked, which must touch nothing of its parent's.
bool report_event(event_kind kind, const death_facts& facts, death_outcome outcome,
                  std::chrono::nanoseconds took = {}) {
  if (!has_event_handler()) return true;
  const repair_scope scope;  // it acquires no mutex
  call_event_handler({kind, owner_death(facts), outcome, took});
  return !scope.is_child();
}

void probe_death(const death_facts& facts, death_outcome outcome) noexcept {
  OUTLIVE_PROBE(death_met, static_cast<const char*>(facts.map->constants().name),
                facts.map->offset_of(facts.lock), facts.owner.thread.pid, facts.owner.thread.tid,
                facts.attempt, static_cast<int>(outcome));
  static_cast<void>(facts), static_cast<void>(outcome);  // without probes
}

outcome in_handlers_child() noexcept {
  return {false, false, errc::forked_in_repair, nullptr};
}

outcome give_up(const native_hold& at, death_facts& facts, const inheritance& past,
                lock_condition condition, std::error_code error) {
  const bool for_ever = condition == lock_condition::not_recoverable;
  const death_outcome what = for_ever ? death_outcome::not_recoverable : death_outcome::unrepaired;
  log_death(*at.mine.map, facts, at.mine.id(), what);
  probe_death(facts, what);
  store(at, lock_state(0, condition, past.attempts, for_ever ? record_id{} : past.origin));
  if (!report_event(event_kind::death_met, facts, what)) return in_handlers_child();
  return refuse(at, error);
}

// A rebuild that the user asked for. The caller owns the callback, so there is nothing to release.
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
  probe_death(facts, death_outcome::repairing);
  store(at, lock_state(at.mine.me & holder_mask, lock_condition::repairing, attempts, past.origin));
  if (!report_event(event_kind::death_met, facts, death_outcome::repairing))
    return in_handlers_child();

  const auto begun = std::chrono::steady_clock::now();
  repair_result done = failed;
  std::exception_ptr thrown;
  {
    const repair_scope scope;
    done = run(callback, facts, thrown);
    // Two things end here, as a part of the repair: the callback, if it unregistered itself, and an
    // exception that nobody will see. They may own the last handle of the segment, whose end
    // releases the record of a thread that holds nothing. This thread still has its entry here, and
    // not any later.
    callback.end();
    if (!keeps_exception) thrown = nullptr;
    if (scope.is_child()) return {false, false, errc::forked_in_repair, thrown};
  }
  crash_barrier();  // the repair's last store comes before the state that says it is done
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
  const bool last = attempts >= map.constants().attempts;
  const death_outcome end = done == repaired ? death_outcome::repaired
                            : last           ? death_outcome::not_recoverable
                                             : death_outcome::failed;
  OUTLIVE_PROBE(repair_ended, static_cast<const char*>(map.constants().name), at.offset,
                static_cast<int>(end), static_cast<std::uint64_t>(took.count()));
  if (done == repaired) {
    store(at, lock_state(free_consistent));
    log_outcome(map, entry, end, took);
    if (!report_event(event_kind::repair_ended, facts, end, took)) return in_handlers_child();
    return finish(at, then, true);
  }
  store(at, last ? lock_state(0, lock_condition::not_recoverable, attempts, {})
                 : lock_state(0, lock_condition::unrepaired, attempts, past.origin));
  log_outcome(map, entry, end, took);
  if (!report_event(event_kind::repair_ended, facts, end, took)) return in_handlers_child();
  release_natively(at);
  return {false, false, errc::repair_failed, thrown};
}

}  // namespace

void release_natively(const native_hold& at) noexcept {
  count_acquisition(at.mine);
  make_natively_consistent(at);
  native_mutex::unlock(at.lock.native);
  crash_barrier();  // the entry stays until after the native unlock (U10)
  held_list::remove(at.mine, at.offset);
}

outcome make_consistent(const native_hold& at, once_consistent then) {
  const lock_state found(at.lock.state.load(std::memory_order_acquire));
  // the owner was never inside, or had left
  if (found.word() == free_consistent) return finish(at, then, false);
  if (!found.is_valid()) return refuse(at, errc::damaged);
  if (found.condition() == lock_condition::not_recoverable)
    return refuse(at, errc::not_recoverable);

  mapping& map = *at.mine.map;
  const auto lock_class = fitting_lock_class(map, at.lock);
  // the repair of another class would overwrite something else
  if (!lock_class) return refuse(at, errc::damaged);
  const inheritance past = read_inheritance(found);
  // This comes before any store: a process without a repair must not use up an attempt (U8).
  repair_run callback(map, at.offset, *lock_class);
  const bool used_up = past.attempts >= map.constants().attempts;
  if (!callback && !used_up && found.condition() == lock_condition::unrepaired)
    return refuse(at, errc::owner_died_unrepaired);

  death_facts facts;
  gather(facts, map, at.lock, past.origin, past.origin_mask, past.former_heir);
  facts.met_before = past.met_before;
  if (used_up)
    return give_up(at, facts, past, lock_condition::not_recoverable, errc::not_recoverable);
  if (!callback)
    return give_up(at, facts, past, lock_condition::unrepaired, errc::owner_died_unrepaired);
  return repair(at, callback, facts, past, then, then != once_consistent::release);
}

// Makes the same stores as a repair, so that heirs know what a death in the middle leaves. If no
// attempts were left, the next heir makes the mutex "not recoverable" again.
outcome rebuild(const native_hold& at, const repair_callback& callback) {
  const lock_state found(at.lock.state.load(std::memory_order_acquire));
  if (found.word() == free_consistent) return finish(at, once_consistent::release, false);
  if (!found.is_valid()) return refuse(at, errc::damaged);
  mapping& map = *at.mine.map;
  if (!fitting_lock_class(map, at.lock)) return refuse(at, errc::damaged);
  inheritance past = read_inheritance(found);
  // If all attempts are used up, this counts as the last one, so that the state can hold their
  // number.
  const unsigned allowed = map.constants().attempts;
  const bool for_ever = found.condition() == lock_condition::not_recoverable;
  if (for_ever || past.attempts >= allowed) past.attempts = allowed - 1;
  death_facts facts;
  gather(facts, map, at.lock, past.origin, past.origin_mask, past.former_heir);
  facts.met_before = past.met_before;
  rebuild_run run{callback};
  return repair(at, run, facts, past, once_consistent::release, true);
}

}  // namespace outlive::detail
