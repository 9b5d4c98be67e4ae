// The ends of a lease and of a dead letter. Each is one exchange of the slot's state, from the word
// that names the calling thread. In any other thread, and in a forked child, it is refused before
// anything is changed. A lease with a time limit stops its clock first, and is refused if it comes
// too late for that (lease_limit.hpp).
#include <outlive/job_lease.hpp>

#include <algorithm>
#include <chrono>

#include <outlive/error.hpp>

#include "companions/handing.hpp"
#include "companions/job_slots.hpp"
#include "companions/lease_limit.hpp"
#include "error/failure.hpp"
#include "format/lease_clock.hpp"
#include "mutex/attach.hpp"
#include "mutex/foreign_end.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

namespace {

static_assert(max_job_history == max_job_tries && sizeof(job_try) == 16);

// Returns: the calling thread's attachment if it has the job, otherwise nullptr. The name in `job`
// is checked before the state word. The word may be this thread's by now, because this thread has
// taken the job over from the dead one that popped it. A lease with a limit names nobody here.
attachment* attached_owner(const held_job& job) noexcept {
  attachment* const mine = attached_caller(job.queue);
  if (mine == nullptr || id_of(*mine) != job_state(job.state).holder()) return nullptr;
  return job_slots{*job.queue, *job.shape}.read(job.slot).word() == job.state ? mine : nullptr;
}

// The same of a lease with a limit: whether or not it is over.
attachment* attached_holder(const held_job& job) noexcept {
  attachment* const mine = attached_caller(job.queue);
  return mine != nullptr && id_of(*mine) == state_of(job).holder() ? mine : nullptr;
}
// Frees what a lease with a limit has, at its end.
bool forget(const held_job& job) noexcept {
  if (is_timed(job)) timed_lease_end()(&timed(job));
  return true;
}

bool end_hold(const held_job& job, attachment& mine, job_state was, job_state next) noexcept {
  if (!job_slots{*job.queue, *job.shape}.exchange(job.slot, was, next)) return false;
  --mine.named_by;
  end_spare_use(mine);
  return true;
}

// If the thread dies afterwards, and before the end of its hold, it died with the job. The thread
// that takes the job over overwrites this entry.
void note_that_nobody_died(const held_job& job, job_state was) noexcept {
  job_slots{*job.queue, *job.shape}.history(job.slot)[was.tries() - 1].thread.store(
      gave_back, std::memory_order_relaxed);
  crash_barrier();  // before the job is another thread's
}

// Puts the job where consumers find it next. `failed`: the try counts.
bool make_ready(const held_job& job, attachment& mine, job_state was, bool failed) noexcept {
  const job_slots slots{*job.queue, *job.shape};
  note_that_nobody_died(job, was);
  if (failed && was.tries() >= job.queue->max_tries) {
    if (!end_hold(job, mine, was, was.to(job_kind::dead_letter, was.tries()))) return false;
    slots.wake_at_the_end();
    return true;
  }
  const unsigned tries = failed ? was.tries() : was.tries() - 1;
  const ring_position at = slots.position_before_head(job.slot);
  if (!end_hold(job, mine, was, job_state::waiting(job_kind::ready, tries, at.lap()))) return false;
  slots.announce_job(at);
  return true;
}

bool make_delayed(const held_job& job, attachment& mine, job_state was,
                  std::chrono::nanoseconds left) noexcept {
  const job_slots slots{*job.queue, *job.shape};
  note_that_nobody_died(job, was);
  const std::uint64_t due = monotonic_now() + static_cast<std::uint64_t>(left.count());
  slots.time(job.slot).store(std::min(due, lease_clock::last_time), std::memory_order_relaxed);
  crash_barrier();  // the time before the state by which it counts
  const ring_position at = slots.position_before_head(job.slot);
  if (!end_hold(job, mine, was, job_state::waiting(job_kind::delayed, was.tries() - 1, at.lap())))
    return false;
  slots.wake_consumer();  // which sleeps past that time otherwise
  return true;
}

// Ends a lease with a limit, by a change of its slot.
template <class Change>
[[gnu::noinline]] bool end_limited(const held_job& job, Change change) noexcept {
  attachment* const mine = attached_holder(job);
  return mine != nullptr && stop_clock(job) && change(*mine, state_of(job)) && forget(job);
}
// Ends any lease.
template <class Change>
bool end_lease(const held_job& job, Change change) noexcept {
  if (is_timed(job)) [[unlikely]]
    return end_limited(job, change);
  attachment* const mine = attached_owner(job);
  return mine != nullptr && change(*mine, job_state(job.state));
}

bool free_slot(const held_job& job, attachment& mine, job_state was) noexcept {
  if (!end_hold(job, mine, was, {job_kind::free, 0})) return false;
  const job_slots slots{*job.queue, *job.shape};
  slots.wake_producer();
  slots.wake_at_the_end();
  return true;
}

// The end of a lease with a limit that could not return its job.
void end_timed_hold(const held_job& job) noexcept {
  if (attachment* const mine = attached_holder(job)) {
    --mine->named_by;  // the lease is over
    end_spare_use(*mine);
    return;
  }
  const job_holder_id holder = state_of(job).holder();
  const auto map = mapping_table::find(job.queue);
  const bool is_over = map && job_slots{*job.queue, *job.shape}.time(job.slot).load(
                                  std::memory_order_relaxed) != timed(job).clock;
  if (is_over) {
    end_hold_elsewhere(job.queue, holder.index_plus_1, holder.generation, job_generation_mask);
  } else {
    end_foreign_hold(hold_kind::lease, job.queue, holder.index_plus_1, holder.generation,
                     job_generation_mask);
  }
}

std::vector<job_holder> holders_of_tries(const held_job& job, bool that_ended_by_time) {
  const job_state state = state_of(job);
  // the present holder is not part of the history
  const unsigned earlier = state.kind() == job_kind::leased ? state.tries() - 1 : state.tries();
  const job_slots slots{*job.queue, *job.shape};
  const lease_clock clock(slots.time(job.slot).load(std::memory_order_relaxed));
  const unsigned claimed = slots.has_limit() && clock.is_claimed() ? clock.tries() : 0;
  std::vector<job_holder> holders;
  for (unsigned i = 0; i < earlier && i < max_job_tries; ++i) {
    const job_try& entry = slots.history(job.slot)[i];
    const std::uint64_t seen = entry.thread.load(std::memory_order_relaxed);
    const bool ended_by_time = (seen & lease_ended) != 0 || i + 1 == claimed;
    if (seen == gave_back || ended_by_time != that_ended_by_time) continue;
    job_holder& one = holders.emplace_back();
    const std::uint64_t thread = seen & ~lease_ended;
    if (thread == 0) continue;
    one = {true, static_cast<pid_t>(thread >> 32), static_cast<pid_t>(thread & 0xffffffff),
           entry.start_time.load(std::memory_order_relaxed)};
  }
  return holders;
}

}  // namespace

const void* bytes_of(const held_job& job) noexcept {
  if (is_timed(job)) return timed(job).job();
  return job_slots{*job.queue, *job.shape}.job(job.slot);
}

unsigned tries_of(const held_job& job) noexcept {
  return state_of(job).tries();
}

std::vector<job_holder> history_of(const held_job& job) {
  return holders_of_tries(job, false);
}

std::vector<job_holder> ended_tries_of(const held_job& job) {
  return holders_of_tries(job, true);
}

bool finish_job(const held_job& job) noexcept {
  attachment* const mine = attached_owner(job);
  if (mine == nullptr) {
    return is_timed(job) && end_limited(job, [&](attachment& holder, job_state was) {
             return free_slot(job, holder, was);
           });
  }
  if (!may_store_plainly(*mine)) return free_slot(job, *mine, job_state(job.state));
  const job_slots slots{*job.queue, *job.shape};
  // No other thread writes the word while this one lives (J1).
  slots.state(job.slot).store(job_state(job_kind::free, 0).word(), std::memory_order_release);
  crash_barrier();  // free before the look for sleepers: the compiler's part of the fence of J4
  --mine->named_by;
  end_spare_use(*mine);
  slots.wake_producer();
  slots.wake_at_the_end();
  return true;
}

bool return_job(const held_job& job) noexcept {
  return end_lease(job, [&](attachment& mine, job_state was) noexcept {
    return make_ready(job, mine, was, false);
  });
}

bool delay_job(const held_job& job, const deadline& not_before) noexcept {
  const std::chrono::nanoseconds left = not_before.left();
  if (left <= left.zero()) return return_job(job);
  return end_lease(job, [&](attachment& mine, job_state was) noexcept {
    return make_delayed(job, mine, was, left);
  });
}
bool fail_job(const held_job& job) noexcept {
  return end_lease(job, [&](attachment& mine, job_state was) noexcept {
    return make_ready(job, mine, was, true);
  });
}

void drop_job(const held_job& job, bool by_exception) noexcept {
  const auto to_ready = [&](attachment& mine, job_state was) noexcept {
    return make_ready(job, mine, was, by_exception);
  };
  const job_state was = state_of(job);
  hold_kind kind = hold_kind::lease;
  if (was.kind() == job_kind::leased) {
    if (end_lease(job, to_ready)) return;
    if (is_timed(job)) {
      end_timed_hold(job);
      forget(job);
      return;
    }
  } else {
    kind = hold_kind::dead_letter;
    attachment* const mine = attached_owner(job);
    if (mine != nullptr && end_hold(job, *mine, was, was.to(job_kind::dead_letter, was.tries())))
      return;
  }
  const job_holder_id holder = was.holder();
  end_foreign_hold(kind, job.queue, holder.index_plus_1, holder.generation, job_generation_mask);
}

bool retry_job(const held_job& job) noexcept {
  attachment* const mine = attached_owner(job);
  if (mine == nullptr) return false;
  const job_slots slots{*job.queue, *job.shape};
  for (unsigned i = 0; i < max_job_tries; ++i)
    slots.history(job.slot)[i].thread.store(0, std::memory_order_relaxed);
  const ring_position at = slots.position_before_head(job.slot);
  if (!end_hold(job, *mine, job_state(job.state), job_state::waiting(job_kind::ready, 0, at.lap())))
    return false;
  slots.announce_job(at);
  return true;
}

std::shared_ptr<handing> hand_over_job(const held_job& job) {
  if (job.queue == nullptr) throw_not_held(job);
  const bool is_limited = is_timed(job);
  attachment* const mine = is_limited ? attached_holder(job) : attached_owner(job);
  if (mine == nullptr) throw_not_held(job);
  auto handed = handing_of(*mine);  // may throw, so before the clock stands still
  if (is_limited && !stop_clock(job)) throw_not_held(job);
  const job_state was = state_of(job);
  // The thread that takes it writes its own name only once it has the job. If it dies before, the
  // history must not show this thread, which may live (H1).
  if (was.kind() == job_kind::leased) {
    job_slots{*job.queue, *job.shape}.history(job.slot)[was.tries() - 1].thread.store(
        0, std::memory_order_relaxed);
  }
  crash_barrier();  // nobody's before another thread can have it
  if (is_limited) start_clock_again(job);
  begin_handing(*mine, *handed);
  return handed;
}

held_job take_over(const held_job& job, handing& by) {
  attachment& mine = attach_taker(job.queue, "lease", by);
  const job_slots slots{*job.queue, *job.shape};
  const job_state was = state_of(job), now = was.to(was.kind(), was.tries(), id_of(mine));
  const bool taken = (!is_timed(job) || stop_clock(job)) && slots.exchange(job.slot, was, now);
  end_handing(by);
  if (!taken) {
    forget(job);
    return {};
  }
  ++mine.named_by;
  if (now.kind() == job_kind::leased) slots.record_holder(job.slot, now.tries(), *mine.record);
  if (!is_timed(job)) return {job.queue, job.shape, job.slot, now.word()};
  start_clock_of_taker(job, now);
  return job;
}

void return_handed(const held_job& job, handing& by) noexcept {
  if (!by.is_this_process()) {
    forget(job);
    return;
  }
  const job_slots slots{*job.queue, *job.shape};
  const job_state was = state_of(job);
  if (was.kind() != job_kind::leased) {
    slots.exchange(job.slot, was, was.to(job_kind::dead_letter, was.tries()));
    end_handing(by);
    return;
  }
  const ring_position at = slots.position_before_head(job.slot);
  const bool returned =
      (!is_timed(job) || stop_clock(job)) &&
      slots.exchange(job.slot, was, job_state::waiting(job_kind::ready, was.tries() - 1, at.lap()));
  end_handing(by);
  if (returned) slots.announce_job(at);
  forget(job);
}

std::chrono::steady_clock::time_point end_of(const held_job& job) noexcept {
  using std::chrono::steady_clock;
  if (job.queue == nullptr || !is_timed(job)) return steady_clock::time_point::max();
  return steady_clock::time_point(std::chrono::duration_cast<steady_clock::duration>(
      std::chrono::nanoseconds(lease_clock(timed(job).clock).time())));
}

bool is_over(const held_job& job) noexcept {
  if (job.queue == nullptr || !is_timed(job)) return false;
  const auto now = job_slots{*job.queue, *job.shape}.time(job.slot).load(std::memory_order_relaxed);
  return now != timed(job).clock || end_of(job) <= std::chrono::steady_clock::now();
}

bool extend_job(const held_job& job, std::chrono::nanoseconds by) noexcept {
  if (!is_timed(job)) return attached_owner(job) != nullptr;
  attachment* const mine = attached_holder(job);
  if (mine == nullptr) return false;
  const auto longest = std::chrono::nanoseconds(max_lease_limit);
  const auto ns = static_cast<std::uint64_t>(std::clamp(by, by.zero(), longest).count());
  const std::uint64_t until = std::max(monotonic_now() + ns, timed(job).first);
  const lease_clock later = lease_clock::running(state_of(job).tries(), until);
  std::uint64_t expected = timed(job).clock;
  // Sequentially consistent, as stop_clock().
  if (!job_slots{*job.queue, *job.shape}.time(job.slot).compare_exchange_strong(expected,
                                                                                later.word()))
    return false;
  timed(job).clock = later.word();
  return true;
}

std::chrono::nanoseconds lease_limit_of(const work_queue_head& queue) noexcept {
  return std::chrono::nanoseconds(queue.lease_limit);
}

void throw_not_held(const held_job& job) {
  if (job.queue != nullptr && is_timed(job) && attached_holder(job) != nullptr) {
    fail(errc::lease_expired,
         "lease: found the job handed out again, or about to be, since its time limit was over; "
         "expected the lease to end or to be extended before");
  }
  fail(errc::not_owner,
       "lease: found another holder, or none, expected the thread that popped the job");
}

}  // namespace outlive::detail
