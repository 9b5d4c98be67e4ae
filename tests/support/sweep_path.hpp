// The path of the recorded run of a sweep, and how later runs reach a point of it at native speed.
//
// Counting the visits of an address from the start fails if the length of a loop varies (a number
// in /proc with one more digit). So a run goes to an anchor first: the last place before the point
// which the recorded run visited only once. Visits count from there. A second run is recorded to
// find addresses with varying numbers of visits (mostly the clock's code): no run stops there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "support/tracee.hpp"

namespace outlive::testing {

class sweep_path {
 public:
  /// A place to stop at: the `hits`-th time that the instruction is about to be executed. 0 hits:
  /// no stop.
  struct stop {
    std::uintptr_t pc = 0;
    std::size_t hits = 0;
  };
  /// First the anchor, then the waypoint, then a place near by that need not be steady, then single
  /// steps from `from` on.
  struct route {
    stop anchor;
    stop waypoint;
    stop near_by;
    std::size_t from = 0;
    std::size_t cost = 0;  // in stops, to be compared with plain stepping
  };

  /// Adds the present position of the recorded run. Stack pointers are relative to the first one,
  /// because victims are forked from different depths of the parent's stack.
  void add(tracee::position here);
  /// The run slept in the instruction it was about to execute.
  void slept() {
    sleeps_.insert(steps_.size() - 1);
    mark();
  }
  /// The visible state is new here.
  void mark() { marks_.insert(steps_.size() - 1); }
  /// The same for the next step.
  void mark_next() { marks_.insert(steps_.size()); }

  /// The number of visits of each address by a second run.
  using visit_counts = std::unordered_map<std::uintptr_t, std::size_t>;
  void compare_with(const visit_counts& second_run);
  /// A later run did not visit this as recorded (malloc takes other paths when the parent's heap
  /// has changed): no stop there from now on.
  void distrust(std::uintptr_t address) {
    unsteady_.insert(address);
    lost_.insert(address);
  }

  std::size_t length() const { return steps_.size(); }
  bool has(std::size_t index) const { return index < steps_.size(); }
  std::uintptr_t pc(std::size_t index) const { return steps_[index].pc; }
  bool sleeps_at(std::size_t index) const { return sleeps_.count(index) != 0; }
  bool is_at(std::size_t index, tracee::position here, std::uintptr_t base) const {
    return steps_[index] == tracee::position{here.pc, here.sp - base};
  }
  /// Nothing visible happens there, and each run takes another path through it.
  bool is_in_clock(std::size_t index) const;
  std::size_t marks() const { return marks_.size(); }
  /// The next point after `index`: a marked one or a multiple of `stride` from `first`.
  std::size_t next(std::size_t index, std::size_t first, std::size_t stride) const;

  route to(std::size_t index) const;

 private:
  /// Shortens the steps through a loop whose length varies from run to run: its iterations can be
  /// counted from its beginning.
  void count_turns(route& best, std::size_t index) const;
  /// How often a run at `anchor` visits pc(index) until it is at `index`.
  std::size_t visits(std::size_t index, std::size_t anchor) const;

  std::vector<tracee::position> steps_;
  std::uintptr_t base_ = 0;
  std::unordered_map<std::uintptr_t, std::vector<std::size_t>> seen_;
  std::unordered_set<std::uintptr_t> unsteady_;
  std::unordered_set<std::uintptr_t> lost_;
  std::set<std::size_t> sleeps_;
  std::set<std::size_t> marks_;
};

}  // namespace outlive::testing
