// What becomes of a job that a thread has. Each of these is one exchange of the slot's state, from
// the word that names the calling thread: in any other thread, and in a forked child, it is refused
// before anything is touched.
#include <outlive/job_lease.hpp>

#include "companions/job_slots.hpp"
#include "error/failure.hpp"
#include "mutex/attach.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail {

namespace {

static_assert(max_job_history == max_job_tries && sizeof(job_try) == 16);

// The calling thread's attachment if the job is its own; nullptr if not. Asked before the state
// word: that may be this thread's by now, which has taken the job over from the dead one that
// popped it.
attachment* owner_of(const held_job& job) noexcept {
  attachment* const mine = attached_holder(job.queue);
  if (mine == nullptr || id_of(*mine) != job_state(job.state).holder()) return nullptr;
  return job_slots{*job.queue, *job.shape}.look_at(job.slot).word() == job.state ? mine : nullptr;
}

bool leave(const held_job& job, attachment& mine, job_state next) noexcept {
  if (!job_slots{*job.queue, *job.shape}.exchange(job.slot, job_state(job.state), next))
    return false;
  --mine.named_by;
  end_spare_use(mine);
  return true;
}

// Puts the job where consumers find it next; `failed`: the try counts.
bool make_ready(const held_job& job, bool failed) noexcept {
  attachment* const mine = owner_of(job);
  if (mine == nullptr) return false;
  const job_slots slots{*job.queue, *job.shape};
  const job_state was(job.state);
  slots.history(job.slot)[was.tries() - 1].thread.store(gave_back, std::memory_order_relaxed);
  // who dies here died with it, and whoever takes it over says so: it overwrites this
  crash_barrier();
  if (failed && was.tries() >= job.queue->max_tries)
    return leave(job, *mine, was.to(job_kind::dead_letter, was.tries()));
  const unsigned tries = failed ? was.tries() : was.tries() - 1;
  const ring_position at = slots.position_before_head(job.slot);
  if (!leave(job, *mine, job_state(job_kind::ready, tries).with_lap(at.lap()))) return false;
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
  // who has it now is no part of its history
  const unsigned earlier = state.kind() == job_kind::leased ? state.tries() - 1 : state.tries();
  const job_try* const history = job_slots{*job.queue, *job.shape}.history(job.slot);
  std::vector<job_holder> told;
  for (unsigned i = 0; i < earlier && i < max_job_tries; ++i) {
    const std::uint64_t thread = history[i].thread.load(std::memory_order_relaxed);
    if (thread == gave_back) continue;
    job_holder& one = told.emplace_back();
    if (thread == 0) continue;
    one = {true, static_cast<pid_t>(thread >> 32), static_cast<pid_t>(thread & 0xffffffff),
           history[i].start_time.load(std::memory_order_relaxed)};
  }
  return told;
}

bool finish_job(const held_job& job) noexcept {
  attachment* const mine = owner_of(job);
  if (mine == nullptr || !leave(job, *mine, {job_kind::free, 0})) return false;
  job_slots{*job.queue, *job.shape}.wake_producer();
  return true;
}

bool return_job(const held_job& job) noexcept {
  return make_ready(job, false);
}

bool fail_job(const held_job& job) noexcept {
  return make_ready(job, true);
}

void drop_job(const held_job& job, bool by_exception) noexcept {
  const job_state was(job.state);
  if (was.kind() == job_kind::leased) {
    make_ready(job, by_exception);
  } else if (attachment* const mine = owner_of(job)) {
    leave(job, *mine, was.to(job_kind::dead_letter, was.tries()));
  }
}

bool retry_job(const held_job& job) noexcept {
  attachment* const mine = owner_of(job);
  if (mine == nullptr) return false;
  const job_slots slots{*job.queue, *job.shape};
  for (unsigned i = 0; i < max_job_tries; ++i)
    slots.history(job.slot)[i].thread.store(0, std::memory_order_relaxed);
  const ring_position at = slots.position_before_head(job.slot);
  if (!leave(job, *mine, job_state(job_kind::ready, 0).with_lap(at.lap()))) return false;
  slots.announce_job(at);
  return true;
}

void throw_not_lease_holder() {
  fail(
      errc::not_owner,
      "lease: found it with another thread, or with none, expected the thread that popped the job");
}

}  // namespace outlive::detail
