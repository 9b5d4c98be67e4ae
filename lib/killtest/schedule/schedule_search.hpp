// schedule_search: which schedule is run next.
//
// A schedule is a list of choices, and then goes on by default. Each run shows where the default
// could have been left: each such place makes a new schedule, which has the choices up to there and
// one more. So each schedule is made once. Those with fewer preemptions and deaths come first.
//
// A preemption right before an access changes nothing if no other thread accesses that word, or all
// only load it: the same happens when the preemption comes later. Which words these are is learned
// from all runs. A preemption that was put aside so is taken out when its word proves shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

#include <outlive/killtest/interleave.hpp>

#include "killtest/schedule/schedule.hpp"
#include "killtest/schedule/schedule_run.hpp"
#include "killtest/schedule/turns.hpp"

namespace outlive::killtest::detail {

// A schedule that is to be run, and what it has used up.
struct planned_schedule {
  schedule steps;
  unsigned preemptions = 0;
  unsigned at_plain_accesses = 0;
  unsigned deaths = 0;
  // Slices of the run that are its choices. What may be changed comes after them.
  std::size_t chosen_slices = 0;

  [[nodiscard]] std::size_t switches() const noexcept { return preemptions + deaths; }
};

class schedule_search {
 public:
  schedule_search(const concurrent_scenario& what, const interleave_options& how,
                  std::size_t segment_bytes);

  // Of those with the fewest switches, one by the seed; nullopt if none is left.
  [[nodiscard]] std::optional<planned_schedule> next();
  // Adds what the run of `ran` has shown.
  void learn(const planned_schedule& ran, std::span<const run_slice> slices,
             std::span<const logged_point> points);

  // That were not run, by their switches.
  [[nodiscard]] std::vector<std::size_t> left() const;

 private:
  // A preemption that changes nothing as far as is known.
  struct put_aside {
    std::shared_ptr<const planned_schedule> base;  // its steps end before the thread's slice
    schedule_step stop;
    std::uint8_t others;  // bits: who may go on
    point_kind kind;
    std::shared_ptr<bool> is_done;  // of an access to several words: shared by their entries
  };
  struct users {
    std::uint8_t loads = 0;  // bits: threads
    std::uint8_t stores = 0;
  };

  void note_accesses(std::span<const logged_point> points);
  [[nodiscard]] bool is_shared(std::uint32_t word) const noexcept;
  void change_slice(const planned_schedule& ran, std::span<const run_slice> slices,
                    std::size_t which, std::span<const logged_point> points);
  void choose_others(const planned_schedule& base, const run_slice& slice, const run_slice* before);
  void kill_waiters(const planned_schedule& base, const run_slice& slice);
  void preempt_if_shared(put_aside what, const logged_point& at);
  void preempt(const put_aside& at);
  void add(planned_schedule made);

  const concurrent_scenario& what_;
  const interleave_options& how_;
  std::vector<users> words_;                                         // of the segment, 8 bytes each
  std::unordered_map<std::uint32_t, std::vector<put_aside>> aside_;  // by word
  std::vector<std::vector<planned_schedule>> planned_;               // by switches
  std::mt19937_64 random_;
};

}  // namespace outlive::killtest::detail
