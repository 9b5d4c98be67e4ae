// The way of the recorded run of a sweep, and how later runs get to a point of it at native speed.
//
// Counting each visit of an address from the start goes astray as soon as a loop's length varies (a
// number of /proc with one more digit). So a run goes by way of an anchor: the last place before
// the point where the recorded run was only once; visits count from there. A second run is recorded
// to find addresses that are not visited equally often each time (the clock's code, mostly): nobody
// stops there.
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

  /// Where the recorded run stands now. Stack pointers are kept relative to the first one: victims
  /// are forked from different depths of the parent's stack.
  void add(tracee::position here);
  /// The run slept in the instruction it was about to execute.
  void slept() {
    sleeps_.insert(steps_.size() - 1);
    mark();
  }
  /// What survivors can see is new here.
  void mark() { marks_.insert(steps_.size() - 1); }
  /// The same of the step that comes next.
  void mark_next() { marks_.insert(steps_.size()); }

  /// How often a second run came by each address.
  using visit_counts = std::unordered_map<std::uintptr_t, std::size_t>;
  void compare_with(const visit_counts& second_run);
  /// A later run did not come by there as recorded (malloc goes other ways when the parent's heap
  /// has changed): no stop from now on.
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
  /// Nothing that survivors can see happens there, and no two runs take the same way through it.
  bool is_in_clock(std::size_t index) const;
  std::size_t marks() const { return marks_.size(); }
  /// The next point after `index`: a marked one or a multiple of `stride` from `first`.
  std::size_t next(std::size_t index, std::size_t first, std::size_t stride) const;

  route to(std::size_t index) const;

 private:
  /// Shortens the steps through a loop whose length varies from run to run: from where it begins,
  /// its turns can be counted all the same.
  void count_turns(route& best, std::size_t index) const;
  /// How often a run that stands at `anchor` comes by pc(index) until it is at `index`.
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
