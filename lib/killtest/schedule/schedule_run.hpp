// schedule_run: runs one schedule from the first state, in processes that take turns.
//
// It keeps what the kernel would keep: who sleeps on which word, and whom a wake-up or a death
// wakes. A death is a real SIGKILL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <outlive/killtest/interleave.hpp>

#include "format/layout.hpp"
#include "killtest/process/child_process.hpp"
#include "killtest/schedule/schedule.hpp"
#include "killtest/schedule/turns.hpp"
#include "killtest/state/segment_copy.hpp"
#include "killtest/state/state_mask.hpp"
#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// What one thread did without a stop.
struct run_slice {
  std::uint8_t thread = 0;
  bool is_chosen = false;     // it was not the one that ran before, or it had yielded
  std::uint8_t runnable = 0;  // bits, at its begin: who could run, this thread included
  std::uint8_t waiting = 0;   // and who slept
  std::size_t first = 0;      // of the log of points
  std::size_t last = 0;       // behind its last
  std::uint32_t until = 0;    // its thread's points by then
  stop_reason end = stop_reason::ready;
  stack_trace stack{};  // where it stopped; empty at its end
};

struct schedule_result {
  std::vector<run_slice> slices;
  schedule_fault found = schedule_fault::none;
  std::string what;
  std::size_t time_outs = 0;
  std::size_t helped = 0;
  std::string diverged;  // where the schedule did not fit, and the default took over
  std::string fault;     // why the schedule could not be run
};

class schedule_run {
 public:
  // Requires: `seg` has the objects that `make` made.
  schedule_run(const concurrent_scenario& what, const interleave_options& how, segment& seg);
  ~schedule_run();
  schedule_run(const schedule_run&) = delete;
  schedule_run& operator=(const schedule_run&) = delete;

  // `with_stacks`: for a report; slower. Throws std::system_error. Blocks: within the time limits.
  [[nodiscard]] schedule_result run(const schedule& wanted, bool with_stacks = false);

  // Of the last run.
  [[nodiscard]] std::span<const logged_point> points() const noexcept;

 private:
  enum class state { runnable, waiting, gone };
  struct thread_of_run {
    int pid = 0;
    state is = state::gone;
    std::uint64_t slept_since = 0;  // a number that grows
  };
  // A thread that was woken without a reason, or timed out, when nobody could run.
  struct nudge {
    unsigned thread;
    std::uint64_t word;
    std::uint64_t before;  // hash of the segment
    bool by_time;
    std::string place;
  };

  void reset();
  void start(unsigned thread);
  void end_all() noexcept;
  void take_turns(const schedule& wanted);
  [[nodiscard]] std::optional<unsigned> next_by_default() const;
  void run_slice_of(unsigned thread, std::uint32_t until, bool dies);
  void resume(unsigned thread);
  [[nodiscard]] bool wait_for_stop(unsigned thread);
  void die_waiting(unsigned thread);
  void leave(unsigned thread);
  [[nodiscard]] std::uint32_t wake(std::uint64_t word, std::uint32_t count);
  void nobody_can_run();
  void note_idle(unsigned thread);
  [[nodiscard]] std::optional<unsigned> next_to_time_out() const;
  [[nodiscard]] bool is_due_in_time(unsigned thread) const;
  void time_out(unsigned thread);
  [[nodiscard]] bool passes_time();
  void judge_nudge(unsigned thread);
  void judge(bool at_end);
  [[nodiscard]] bool is_free() const noexcept;
  void fail(schedule_fault which, std::string what);
  [[nodiscard]] bool is_over() const noexcept;
  [[nodiscard]] unsigned threads_that(state is) const noexcept;
  void learn_locks();
  [[nodiscard]] std::uint64_t hash_of_state();
  [[nodiscard]] std::string name_of(unsigned thread) const;
  [[nodiscard]] std::string place_of(unsigned thread) const;

  const concurrent_scenario& what_;
  const interleave_options& how_;
  segment& seg_;
  segment_copy copy_;
  std::string first_bytes_;
  state_mask mask_;
  outlive::detail::region_layout layout_;
  // States in which nobody held a mutex: the hash, and bits for who is gone. The same bytes can be
  // right while a thread lives, and wrong when it is dead: the kernel marks only mutexes, and does
  // not do so if the list of them is broken. At the end all are gone.
  std::set<std::pair<std::uint64_t, unsigned>> judged_;
  turns* shared_;
  shared_text failures_[max_scheduled];

  std::vector<thread_of_run> threads_;
  schedule_result made_;
  std::uint64_t sleeps_ = 0;
  std::optional<unsigned> running_;
  stop_reason last_end_ = stop_reason::ready;
  std::optional<nudge> nudged_;
  unsigned tried_ = 0;            // bits: who was nudged since anybody got on
  std::int64_t progress_at_ = 0;  // virtual time
  // Bits: who can run, and does nothing but yield, since the segment came to this state.
  unsigned idle_ = 0;
  std::uint64_t idle_in_ = 0;
  bool has_died_ = false;
};

}  // namespace outlive::killtest::detail
