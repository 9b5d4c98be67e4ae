#include "killtest/schedule/schedule_run.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include <outlive/note.hpp>

#include "format/object_layout.hpp"
#include "killtest/schedule/scheduled_process.hpp"
#include "killtest/stacks/process_stacks.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/stores/page_shadow.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest::detail {

namespace {

outlive::detail::region_layout layout_of(const std::string& bytes) {
  outlive::detail::segment_constants constants;
  std::memcpy(&constants, bytes.data(), sizeof constants);
  return outlive::detail::region_layout::of(constants);
}

// A thread that accesses the segment so often, and neither waits nor ends, spins. Another one gets
// a turn.
constexpr std::uint32_t spins_after = 2'000;

std::uint32_t word_at(const char* bytes, std::uint64_t offset) noexcept {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes + offset, sizeof word);
  return word;
}

// Whom the kernel wakes when the owner ends: a waiter of each mutex that says it has some, and one
// of a mutex that was being released.
std::vector<std::uint64_t> words_woken_by_end(const scheduled_turn& turn, int pid,
                                              const char* bytes) {
  std::vector<std::uint64_t> found;
  const auto is_woken = [&](std::uint64_t offset) {
    const std::uint32_t word = word_at(bytes, offset);
    return (word & FUTEX_TID_MASK) == static_cast<std::uint32_t>(pid) &&
           (word & FUTEX_WAITERS) != 0;
  };
  for (std::uint32_t i = 0; i < turn.held_count; ++i) {
    if (is_woken(turn.held[i])) found.push_back(turn.held[i]);
  }
  if (turn.pending != no_word &&
      ((word_at(bytes, turn.pending) & FUTEX_TID_MASK) == 0 || is_woken(turn.pending)))
    found.push_back(turn.pending);
  return found;
}

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
           const timespec* limit) noexcept {
  return ::syscall(SYS_futex, &word, operation, value, limit, nullptr, 0);
}

}  // namespace

schedule_run::schedule_run(const concurrent_scenario& what, const interleave_options& how,
                           segment& seg)
    : what_(what),
      how_(how),
      seg_(seg),
      copy_(seg),
      first_bytes_(base_of(seg), seg.size_bytes()),
      mask_(first_bytes_.data()),
      layout_(layout_of(first_bytes_)),
      shared_(static_cast<turns*>(map_shared(sizeof(turns)))) {}

schedule_run::~schedule_run() {
  end_all();
  unmap_shared(shared_, sizeof(turns));
}

std::span<const logged_point> schedule_run::points() const noexcept {
  return {shared_->points, shared_->point_count};
}

schedule_result schedule_run::run(const schedule& wanted, bool with_stacks) {
  reset();
  if (with_stacks) judged_.clear();  // so that it is judged once more
  shared_->with_stacks = with_stacks;
  try {
    for (unsigned i = 0; i < what_.threads.size() && !is_over(); ++i) start(i);
    take_turns(wanted);
    if (!is_over()) judge(true);
  } catch (...) {
    end_all();
    throw;
  }
  end_all();
  return std::move(made_);
}

// ---- begin and end -----------------------------------------------------------------------------

void schedule_run::reset() {
  for (std::size_t at = 0; at < first_bytes_.size(); at += page_bytes) {
    const std::size_t bytes = std::min(page_bytes, first_bytes_.size() - at);
    if (std::memcmp(copy_.bytes() + at, first_bytes_.data() + at, bytes) == 0) continue;
    if (::pwrite(copy_.fd(), first_bytes_.data() + at, bytes, static_cast<off_t>(at)) !=
        static_cast<ssize_t>(bytes))
      throw std::system_error(errno, std::generic_category(), "a copy of the segment");
  }
  std::memset(static_cast<void*>(shared_), 0, offsetof(turns, points));
  shared_->shared_lock = no_word;
  shared_->most_points =
      static_cast<std::uint32_t>(std::min(how_.max_accesses, std::size_t{max_points}));
  threads_.assign(what_.threads.size(), {});
  for (const shared_text& each : failures_) each.text()[0] = 0;
  made_ = {};
  sleeps_ = 0;
  running_.reset();
  last_end_ = stop_reason::ready;
  nudged_.reset();
  tried_ = 0;
  progress_at_ = 0;
  idle_ = 0;
  idle_in_ = 0;
  has_died_ = false;
}

void schedule_run::start(unsigned thread) {
  scheduled_turn& turn = shared_->of[thread];
  turn.until = to_its_end;
  turn.pending = no_word;
  threads_[thread].pid = start_process(
      [&] {
        map_view_of(seg_, copy_.fd());
        note(seg_, 0);  // claims a thread record
        const auto registered =
            what_.repairs ? what_.repairs(seg_) : std::vector<repair_registration>();
        run_in_turns({shared_, base_of(seg_), copy_.bytes(), seg_.size_bytes(),
                      how_.own_records ? 0 : layout_.objects},
                     thread, [&] { what_.threads[thread].run(seg_); });
      },
      failures_[thread].text());
  if (!wait_for_stop(thread)) {
    made_.fault = "in the set-up of " + name_of(thread) + ": " + made_.what;
    made_.found = schedule_fault::none;
    return;
  }
  threads_[thread].is = state::runnable;
  shared_->alive |= 1U << thread;
}

void schedule_run::end_all() noexcept {
  for (thread_of_run& each : threads_) {
    if (each.pid != 0) end_process(each.pid);
    each.pid = 0;
    each.is = state::gone;
  }
}

// The process has nothing left to do but to end, or to kill itself.
void schedule_run::leave(unsigned thread) {
  thread_of_run& leaving = threads_[thread];
  const auto words = words_woken_by_end(shared_->of[thread], leaving.pid, copy_.bytes());
  resume(thread);
  const process_end ended = wait_for(leaving.pid, how_.time_limit);
  leaving.pid = 0;
  leaving.is = state::gone;
  shared_->alive &= ~(1U << thread);
  shared_->of[thread].held_count = 0;
  idle_ = 0;  // somebody may wait for this end
  if (!ended.in_time) made_.fault = name_of(thread) + " did not end in time";
  for (const std::uint64_t each : words) static_cast<void>(wake(each, 1));
}

bool schedule_run::is_over() const noexcept {
  return made_.found != schedule_fault::none || !made_.fault.empty();
}

void schedule_run::fail(schedule_fault which, std::string what) {
  if (is_over()) return;
  made_.found = which;
  made_.what = std::move(what);
}

// ---- turns -------------------------------------------------------------------------------------

void schedule_run::take_turns(const schedule& wanted) {
  std::size_t next = 0;
  while (!is_over()) {
    if (passes_time()) continue;
    if (next < wanted.size()) {
      const schedule_step& step = wanted[next];
      const bool is_there = step.thread < threads_.size();
      if (is_there && step.dies && threads_[step.thread].is == state::waiting) {
        die_waiting(step.thread);
        ++next;
        continue;
      }
      if (is_there && threads_[step.thread].is == state::runnable) {
        run_slice_of(step.thread, step.until, step.dies);
        if (last_end_ != stop_reason::wakes) ++next;
        continue;
      }
      if (!is_there || threads_that(state::runnable) != 0 ||
          threads_[step.thread].is == state::gone) {
        made_.diverged = "step " + std::to_string(next + 1) + " of the schedule, \"" +
                         text_of({step}) + "\", names a thread that cannot run there";
        next = wanted.size();
        continue;
      }
    } else if (const auto chosen = next_by_default()) {
      run_slice_of(*chosen, to_its_end, false);
      continue;
    }
    if (threads_that(state::waiting) == 0) return;
    nobody_can_run();
  }
}

std::optional<unsigned> schedule_run::next_by_default() const {
  const unsigned runnable = threads_that(state::runnable);
  if (runnable == 0) return std::nullopt;
  const auto count = static_cast<unsigned>(threads_.size());
  if (last_end_ == stop_reason::wakes && (runnable >> *running_ & 1U) != 0) return running_;
  for (unsigned i = 1; i <= count; ++i) {
    const unsigned each = (running_.value_or(count - 1) + i) % count;
    if ((runnable >> each & 1U) != 0) return each;
  }
  return std::nullopt;
}

void schedule_run::resume(unsigned thread) {
  shared_->of[thread].go.store(1, std::memory_order_release);
  futex(shared_->of[thread].go, FUTEX_WAKE, 1, nullptr);
}

// Returns: false if the process is gone, or hangs; then the run has failed.
bool schedule_run::wait_for_stop(unsigned thread) {
  constexpr timespec look_again{0, 20'000'000};
  thread_of_run& running = threads_[thread];
  std::optional<hang_watch> watch;
  while (shared_->stopped.exchange(0, std::memory_order_acquire) == 0) {
    if (futex(shared_->stopped, FUTEX_WAIT, 0, &look_again) == 0 || errno != ETIMEDOUT) continue;
    process_end ended;
    if (has_ended(running.pid, ended)) {
      running.pid = 0;
      running.is = state::gone;
      const std::string how = name_of(thread) + ' ' + to_string(ended, failures_[thread].text());
      if (ended.threw()) {
        fail(schedule_fault::threw, how);
      } else {
        fail(schedule_fault::crashed, how + place_of(thread));
      }
      return false;
    }
    if (!watch) watch.emplace(running.pid, how_.time_limit);
    if (!watch->is_hung()) continue;
    fail(schedule_fault::runs_for_ever, name_of(thread) + " was not done within " +
                                            std::to_string(how_.time_limit.count()) +
                                            " ms, and did not access the segment");
    return false;
  }
  return true;
}

void schedule_run::run_slice_of(unsigned thread, std::uint32_t until, bool dies) {
  scheduled_turn& turn = shared_->of[thread];
  run_slice slice;
  slice.thread = static_cast<std::uint8_t>(thread);
  slice.is_chosen = running_ != thread || last_end_ != stop_reason::wakes;
  slice.runnable = static_cast<std::uint8_t>(threads_that(state::runnable));
  slice.waiting = static_cast<std::uint8_t>(threads_that(state::waiting));
  slice.first = shared_->point_count;
  turn.dies = dies;
  running_ = thread;
  bool goes_on = true;
  while (goes_on) {
    const std::uint32_t spins_at = turn.points + spins_after;
    turn.until = std::min(until, spins_at);
    resume(thread);
    if (!wait_for_stop(thread)) return;
    last_end_ = turn.why;
    goes_on = false;
    switch (turn.why) {
      case stop_reason::wakes:
        turn.result = wake(turn.word, turn.count);
        goes_on = turn.result == 0;
        break;
      case stop_reason::paused:
        if (turn.points == until) break;
        // it spins
        goes_on = slice.runnable == 1U << thread && !next_to_time_out();
        last_end_ = stop_reason::yields;
        break;
      case stop_reason::waits:
        threads_[thread].is = state::waiting;
        threads_[thread].slept_since = ++sleeps_;
        break;
      case stop_reason::dies:
        has_died_ = true;
        leave(thread);
        break;
      case stop_reason::ends: leave(thread); break;
      case stop_reason::too_long:
        fail(schedule_fault::runs_for_ever,
             name_of(thread) + " did not come to its end, nor to a wait" + place_of(thread));
        break;
      case stop_reason::unknown_call:
        made_.fault = name_of(thread) + " makes a futex call that the scheduler does not know: " +
                      std::to_string(turn.count);
        break;
      case stop_reason::yields:
      case stop_reason::ready: break;
    }
  }
  slice.last = shared_->point_count;
  slice.until = turn.points;
  slice.end = last_end_;
  slice.stack.assign(turn.stack, turn.stack + turn.stack_size);
  made_.slices.push_back(std::move(slice));
  if (shared_->shared_lock != no_word)
    fail(schedule_fault::not_exclusive,
         "the mutex " + killtest::detail::name_of(seg_, shared_->shared_lock) + " is held by " +
             name_of(shared_->sharers[0]) + " and by " + name_of(shared_->sharers[1]));
  judge_nudge(thread);
  note_idle(thread);
  if (how_.while_free && last_end_ != stop_reason::wakes && !is_over()) judge(false);
}

void schedule_run::die_waiting(unsigned thread) {
  run_slice slice;
  slice.thread = static_cast<std::uint8_t>(thread);
  slice.is_chosen = true;
  slice.runnable = static_cast<std::uint8_t>(threads_that(state::runnable));
  slice.waiting = static_cast<std::uint8_t>(threads_that(state::waiting));
  slice.first = slice.last = shared_->point_count;
  slice.until = to_its_end;
  slice.end = stop_reason::dies;
  const scheduled_turn& turn = shared_->of[thread];
  slice.stack.assign(turn.stack, turn.stack + turn.stack_size);
  shared_->of[thread].dies = true;
  resume(thread);
  if (!wait_for_stop(thread)) return;
  has_died_ = true;
  running_ = thread;
  last_end_ = stop_reason::dies;
  leave(thread);
  made_.slices.push_back(std::move(slice));
}

// First come, first woken, as the kernel does it.
std::uint32_t schedule_run::wake(std::uint64_t word, std::uint32_t count) {
  std::uint32_t woken = 0;
  while (woken < count) {
    std::optional<unsigned> next;
    for (unsigned i = 0; i < threads_.size(); ++i) {
      if (threads_[i].is == state::waiting && shared_->of[i].word == word &&
          (!next || threads_[i].slept_since < threads_[*next].slept_since))
        next = i;
    }
    if (!next) break;
    threads_[*next].is = state::runnable;
    shared_->of[*next].result = 0;
    ++woken;
  }
  if (woken != 0) tried_ = 0;
  return woken;
}

// ---- waits -------------------------------------------------------------------------------------

// Each sleeper is woken without a reason first, which every wait on a futex must stand. One that
// goes on then was due, and nobody had woken it. Only then does time pass, up to the first
// time-out.
void schedule_run::nobody_can_run() {
  std::optional<unsigned> next;
  bool by_time = false;
  for (unsigned i = 0; i < threads_.size() && !next; ++i) {
    if (threads_[i].is != state::waiting || (tried_ >> i & 1U) != 0) continue;
    tried_ |= 1U << i;
    if (shared_->of[i].word != no_word) next = i;
  }
  if (!next) {
    by_time = true;
    next = next_to_time_out();
  }
  if (!next || (by_time && !is_due_in_time(*next))) {
    std::string who;
    for (unsigned i = 0; i < threads_.size(); ++i) {
      if (threads_[i].is == state::waiting)
        who += (who.empty() ? "" : ", and ") + name_of(i) + " waits" + place_of(i);
    }
    return fail(schedule_fault::waits_for_ever, who);
  }
  if (by_time) return time_out(*next);
  scheduled_turn& turn = shared_->of[*next];
  turn.result = 0;
  threads_[*next].is = state::runnable;
  nudged_ = nudge{*next, turn.word, hash_of_state(), false, place_of(*next)};
}

std::optional<unsigned> schedule_run::next_to_time_out() const {
  std::optional<unsigned> next;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    if (threads_[i].is == state::waiting && shared_->of[i].deadline != no_deadline &&
        (!next || shared_->of[i].deadline < shared_->of[*next].deadline))
      next = i;
  }
  return next;
}

bool schedule_run::is_due_in_time(unsigned thread) const {
  const std::chrono::nanoseconds patience = how_.patience;
  return shared_->of[thread].deadline - progress_at_ <= patience.count();
}

void schedule_run::time_out(unsigned thread) {
  scheduled_turn& turn = shared_->of[thread];
  shared_->now = std::max(shared_->now, turn.deadline);
  ++made_.time_outs;
  turn.result = -ETIMEDOUT;
  threads_[thread].is = state::runnable;
  nudged_ = nudge{thread, turn.word, hash_of_state(), true, place_of(thread)};
}

// The first yield after a change does not count: who sets a flag, yields and ends does not wait for
// anybody, and a wake-up that it forgot is found only if no time passes meanwhile.
void schedule_run::note_idle(unsigned thread) {
  idle_ &= ~(1U << thread);
  if (last_end_ != stop_reason::yields || !next_to_time_out()) return;
  const std::uint64_t now = hash_of_state();
  idle_ = now == idle_in_ ? idle_ | 1U << thread : 0;
  idle_in_ = now;
}

// When all who can run only yield, they wait for one that sleeps. Nobody is woken without a reason
// here: one of them may be about to wake it. Who sleeps longer than patience allows does not help.
bool schedule_run::passes_time() {
  const unsigned runnable = threads_that(state::runnable);
  if (runnable == 0 || (runnable & ~idle_) != 0) return false;
  const auto next = next_to_time_out();
  if (!next || !is_due_in_time(*next)) return false;
  idle_ = 0;
  time_out(*next);
  return true;
}

void schedule_run::judge_nudge(unsigned thread) {
  if (!nudged_ || is_over()) return;
  if (last_end_ == stop_reason::wakes && nudged_->thread == thread) return;
  const nudge was = *nudged_;
  nudged_.reset();
  const bool sleeps_again = thread == was.thread && last_end_ == stop_reason::waits &&
                            shared_->of[thread].word == was.word && hash_of_state() == was.before;
  if (sleeps_again) return;
  tried_ = 0;
  progress_at_ = shared_->now;
  if (was.by_time || thread != was.thread) return;
  ++made_.helped;
  if (has_died_ || !how_.lost_wake_ups) return;
  fail(schedule_fault::lost_wake_up, name_of(thread) + " slept on while nobody could run" +
                                         was.place + "; woken without a reason, it went on");
}

// Thread ids and list pointers in a mutex do not count once the mutex was seen in a robust list.
void schedule_run::learn_locks() {
  for (unsigned i = 0; i < threads_.size(); ++i) {
    for (std::uint32_t each = 0; each < shared_->of[i].held_count; ++each) {
      const std::uint64_t offset = shared_->of[i].held[each];
      if (mask_.knows(offset)) continue;
      bool is_mutex = false;
      if (offset % outlive::detail::cache_line == 0 &&
          offset + sizeof(outlive::detail::lock_bytes) <= first_bytes_.size())
        is_mutex = word_at(copy_.bytes(), offset + offsetof(outlive::detail::lock_bytes, magic)) ==
                   outlive::detail::native_lock_magic;
      mask_.know_lock(offset, is_mutex);
    }
  }
}

std::uint64_t schedule_run::hash_of_state() {
  learn_locks();
  constexpr std::uint64_t prime = 0x9e3779b97f4a7c15;
  std::uint64_t hash = 0;
  for (std::uint64_t at = 0; at < first_bytes_.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, copy_.bytes() + at, sizeof word);
    if (word != 0) hash += (mask_.masked(at, word, true) + at) * prime ^ (hash >> 29);
  }
  return hash;
}

// ---- judgements --------------------------------------------------------------------------------

// Whether no living thread has a mutex in hand, but that of its own record.
bool schedule_run::is_free() const noexcept {
  for (unsigned i = 0; i < threads_.size(); ++i) {
    const scheduled_turn& turn = shared_->of[i];
    if (threads_[i].is == state::gone) continue;
    if (turn.pending != no_word) return false;
    for (std::uint32_t each = 0; each < turn.held_count; ++each) {
      if (turn.held[each] < layout_.records || turn.held[each] >= layout_.names) return false;
    }
  }
  return true;
}

// By an heir that comes now.
void schedule_run::judge(bool at_end) {
  if (!at_end && !is_free()) return;
  if (!judged_.insert({hash_of_state(), threads_that(state::gone)}).second) return;
  scenario heir;
  heir.repairs = what_.repairs;
  heir.invariant = what_.invariant;
  const shared_text failure;
  const pid_t pid = start_process(
      [&] {
        map_private_view(seg_, copy_.fd());
        note(seg_, 0);
        const auto registered = register_repairs(heir, seg_);
        const judgement found = killtest::detail::judge(heir, seg_, {});
        if (found.result == verdict::ok) return;
        throw std::runtime_error((found.result == verdict::invariant_violated ? 'i' : 'r') +
                                 found.what);
      },
      failure.text());
  const process_end ended = wait_for(pid, how_.time_limit);
  if (ended.exited(0)) return;
  const std::string when = at_end ? "" : "while no thread held a mutex: ";
  if (!ended.threw()) {
    fail(schedule_fault::repair_failed, when + "the heir " + to_string(ended));
  } else if (failure.text()[0] == 'i') {
    fail(schedule_fault::invariant_violated, when + (failure.text() + 1));
  } else {
    fail(schedule_fault::repair_failed, when + (failure.text() + 1));
  }
}

// ---- words -------------------------------------------------------------------------------------

unsigned schedule_run::threads_that(state are) const noexcept {
  unsigned bits = 0;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    if (threads_[i].is == are) bits |= 1U << i;
  }
  return bits;
}

std::string schedule_run::name_of(unsigned thread) const {
  return what_.threads[thread].name;
}

std::string schedule_run::place_of(unsigned thread) const {
  const scheduled_turn& turn = shared_->of[thread];
  if (turn.stack_size == 0) return {};
  process_stacks names;
  return " at " + to_string(names.describe({turn.stack, turn.stack + turn.stack_size}));
}

}  // namespace outlive::killtest::detail
