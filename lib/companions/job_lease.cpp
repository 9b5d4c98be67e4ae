// The ends of a lease and of a dead letter. Each is one exchange of the slot's state, from the word
// that names the calling thread. In any other thread, and in a forked child, it is refused before
// anything is changed.
#include <outlive/job_lease.hpp>

#include "companions/handing.hpp"
#include "companions/job_slots.hpp"
#include "error/failure.hpp"
#include "mutex/attach.hpp"
#include "mutex/foreign_end.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

namespace {

static_assert(max_job_history == max_job_tries && sizeof(job_try) == 16);

// Returns: the calling thread's attachment if it has the job, otherwise nullptr. The name in `job`
// is checked before the state word. The word may be this thread's by now, because this thread has
// taken the job over from the dead one that popped it.
attachment* attached_owner(const held_job& job) noexcept {
  attachment* const mine = attached_caller(job.queue);
  if (mine == nullptr || id_of(*mine) != job_state(job.state).holder()) return nullptr;
  return job_slots{*job.queue, *job.shape}.read(job.slot).word() == job.state ? mine : nullptr;
}

bool end_hold(const held_job& job, attachment& mine, job_state next) noexcept {
  if (!job_slots{*job.queue, *job.shape}.exchange(job.slot, job_state(job.state), next))
    return false;
  --mine.named_by;
  end_spare_use(mine);
  return true;
}

// If the thread dies afterwards, and before the end of its hold, it died with the job. The thread
// that takes the job over overwrites this entry.
void note_that_nobody_died(const held_job& job) noexcept {
  const unsigned tries = job_state(job.state).tries();
  job_slots{*job.queue, *job.shape}.history(job.slot)[tries - 1].thread.store(
      gave_back, std::memory_order_relaxed);
  crash_barrier();  // before the job is another thread's
}

// Puts the job where consumers find it next. `failed`: the try counts.
bool make_ready(const held_job& job, bool failed) noexcept {
  attachment* const mine = attached_owner(job);
  if (mine == nullptr) return false;
  const job_slots slots{*job.queue, *job.shape};
  const job_state was(job.state);
  note_that_nobody_died(job);
  if (failed && was.tries() >= job.queue->max_tries) {
    if (!end_hold(job, *mine, was.to(job_kind::dead_letter, was.tries()))) return false;
    slots.wake_at_the_end();
    return true;
  }
  const unsigned tries = failed ? was.tries() : was.tries() - 1;
  const ring_position at = slots.position_before_head(job.slot);
  if (!end_hold(job, *mine, job_state::waiting(job_kind::ready, tries, at.lap()))) return false;
  slots.announce_job(at);
  return true;
}

}  // namespace

const void* bytes_of(const held_job& job) noexcept {
  return job_slots{*job.queue, *job.shape}.job(job.slot);
}

unsigned tries_of(const held_job& job) noexcept {
  return job_state(job.state).tries();
}

std::vector<job_holder> history_of(const held_job& job) {
  const job_state state(job.state);
  // the present holder is not part of the history
  const unsigned earlier = state.kind() == job_kind::leased ? state.tries() - 1 : state.tries();
  const job_try* const history = job_slots{*job.queue, *job.shape}.history(job.slot);
  std::vector<job_holder> holders;
  for (unsigned i = 0; i < earlier && i < max_job_tries; ++i) {
    const std::uint64_t thread = history[i].thread.load(std::memory_order_relaxed);
    if (thread == gave_back) continue;
    job_holder& one = holders.emplace_back();
    if (thread == 0) continue;
    one = {true, static_cast<pid_t>(thread >> 32), static_cast<pid_t>(thread & 0xffffffff),
           history[i].start_time.load(std::memory_order_relaxed)};
  }
  return holders;
}

bool finish_job(const held_job& job) noexcept {
  attachment* const mine = attached_owner(job);
  if (mine == nullptr) return false;
  const job_slots slots{*job.queue, *job.shape};
  if (may_store_plainly(*mine)) {
    // No other thread writes the word while this one lives (J1).
    slots.state(job.slot).store(job_state(job_kind::free, 0).word(), std::memory_order_release);
    crash_barrier();  // free before the look for sleepers: the compiler's part of the fence of J4
    --mine->named_by;
    end_spare_use(*mine);
  } else if (!end_hold(job, *mine, {job_kind::free, 0})) {
    return false;
  }
  slots.wake_producer();
  slots.wake_at_the_end();
  return true;
}

bool return_job(const held_job& job) noexcept {
  return make_ready(job, false);
}

bool delay_job(const held_job& job, const deadline& not_before) noexcept {
  const std::chrono::nanoseconds left = not_before.left();
  if (left <= left.zero()) return return_job(job);
  attachment* const mine = attached_owner(job);
  if (mine == nullptr) return false;
  const job_slots slots{*job.queue, *job.shape};
  note_that_nobody_died(job);
  slots.time(job.slot).store(monotonic_now() + static_cast<std::uint64_t>(left.count()),
                             std::memory_order_relaxed);
  crash_barrier();  // the time before the state by which it counts
  const ring_position at = slots.position_before_head(job.slot);
  const unsigned tries = job_state(job.state).tries() - 1;
  if (!end_hold(job, *mine, job_state::waiting(job_kind::delayed, tries, at.lap()))) return false;
  slots.wake_consumer();  // which sleeps past that time otherwise
  return true;
}

bool fail_job(const held_job& job) noexcept {
  return make_ready(job, true);
}

void drop_job(const held_job& job, bool by_exception) noexcept {
  const job_state was(job.state);
  bool ended = false;
  hold_kind kind = hold_kind::lease;
  if (was.kind() == job_kind::leased) {
    ended = make_ready(job, by_exception);
  } else {
    kind = hold_kind::dead_letter;
    attachment* const mine = attached_owner(job);
    ended = mine != nullptr && end_hold(job, *mine, was.to(job_kind::dead_letter, was.tries()));
  }
  const job_holder_id holder = was.holder();
  if (!ended) {
    end_foreign_hold(kind, job.queue, holder.index_plus_1, holder.generation, job_generation_mask);
  }
}

bool retry_job(const held_job& job) noexcept {
  attachment* const mine = attached_owner(job);
  if (mine == nullptr) return false;
  const job_slots slots{*job.queue, *job.shape};
  for (unsigned i = 0; i < max_job_tries; ++i)
    slots.history(job.slot)[i].thread.store(0, std::memory_order_relaxed);
  const ring_position at = slots.position_before_head(job.slot);
  if (!end_hold(job, *mine, job_state::waiting(job_kind::ready, 0, at.lap()))) return false;
  slots.announce_job(at);
  return true;
}

std::shared_ptr<handing> hand_over_job(const held_job& job) {
  attachment* const mine = job.queue == nullptr ? nullptr : attached_owner(job);
  if (mine == nullptr) throw_not_lease_holder();
  auto handed = handing_of(*mine);
  const job_state was(job.state);
  // The thread that takes it writes its own name only once it has the job. If it dies before, the
  // history must not show this thread, which may live (H1).
  if (was.kind() == job_kind::leased) {
    job_slots{*job.queue, *job.shape}.history(job.slot)[was.tries() - 1].thread.store(
        0, std::memory_order_relaxed);
  }
  crash_barrier();  // nobody's before another thread can have it
  begin_handing(*mine, *handed);
  return handed;
}

held_job take_over(const held_job& job, handing& by) {
  attachment& mine = attach_taker(job.queue, "lease", by);
  const job_slots slots{*job.queue, *job.shape};
  const job_state was(job.state), now = was.to(was.kind(), was.tries(), id_of(mine));
  const bool taken = slots.exchange(job.slot, was, now);
  end_handing(by);
  if (!taken) return {};
  ++mine.named_by;
  if (now.kind() == job_kind::leased) slots.record_holder(job.slot, now.tries(), *mine.record);
  return {job.queue, job.shape, job.slot, now.word()};
}

void return_handed(const held_job& job, handing& by) noexcept {
  if (!by.is_this_process()) return;
  const job_slots slots{*job.queue, *job.shape};
  const job_state was(job.state);
  if (was.kind() != job_kind::leased) {
    slots.exchange(job.slot, was, was.to(job_kind::dead_letter, was.tries()));
    end_handing(by);
    return;
  }
  const ring_position at = slots.position_before_head(job.slot);
  const bool returned =
      slots.exchange(job.slot, was, job_state::waiting(job_kind::ready, was.tries() - 1, at.lap()));
  end_handing(by);
  if (returned) slots.announce_job(at);
}

void throw_not_lease_holder() {
  fail(errc::not_owner,
       "lease: found another holder, or none, expected the thread that popped the job");
}

}  // namespace outlive::detail
