#include "support/single_step.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "support/where.hpp"

namespace outlive::testing {
namespace {

/// Tracer and victim on one CPU: a stop then costs half.
class pinned {
 public:
  pinned() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~pinned() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

/// The way of the recorded run: where it stood after i instructions, and how often it had come by there.
/// Stack pointers are kept relative to the first one: victims are forked from different depths of the parent's stack.
class path {
 public:
  void add(tracee::position here) {
    if (steps_.empty())
      base_ = here.sp;
    steps_.push_back({here.pc, here.sp - base_});
    visits_.push_back(++seen_[here.pc]);
  }
  std::size_t length() const { return steps_.size(); }
  bool has(std::size_t index) const { return index < steps_.size(); }
  std::uintptr_t pc(std::size_t index) const { return steps_[index].pc; }
  bool is_at(std::size_t index, tracee::position here, std::uintptr_t base) const {
    return steps_[index] == tracee::position{here.pc, here.sp - base};
  }
  std::size_t visits(std::size_t index) const { return visits_[index]; }

  /// The step from which `index` is reached at the least cost: a hit of a breakpoint costs about three stops.
  std::size_t waypoint(std::size_t index) const {
    constexpr std::size_t window = 256;
    std::size_t best = index;
    for (std::size_t i = index; i + window > index; --i) {
      if (cost(i, index) < cost(best, index))
        best = i;
      if (i == 0)
        break;
    }
    return best;
  }
  std::size_t cost(std::size_t from, std::size_t index) const { return 3 * visits_[from] + (index - from); }

 private:
  std::vector<tracee::position> steps_;
  std::vector<std::size_t> visits_;
  std::uintptr_t base_ = 0;
  std::unordered_map<std::uintptr_t, std::size_t> seen_;
};

std::size_t failures_so_far() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  return info ? static_cast<std::size_t>(info->result()->total_part_count()) : 0;
}

class sweeper {
 public:
  explicit sweeper(const sweep_plan& plan) : plan_(plan) {}

  sweep_result run() {
    record();
    // A section whose length varies goes on after the recorded length until a victim survives.
    const std::size_t end = 2 * route_.length() + 1000;
    for (std::size_t i = plan_.first; i <= plan_.last; i += plan_.stride) {
      if (i > end)
        throw std::runtime_error(plan_.name + ": no victim survives, the section has no stable length");
      const bool survived = !kill_at(i, false);
      result_.last_survived = survived;
      survivors_in_a_row_ = survived ? survivors_in_a_row_ + 1 : 0;
      // One early survivor may be an accident of time (what it waited for came sooner).
      if (survived && (!route_.has(i) || survivors_in_a_row_ == 3))
        break;
      if (!survived && sleeps_.count(i) != 0)
        kill_at(i, true);
      if (failing_points_ >= plan_.stop_after_failures) {
        ADD_FAILURE() << plan_.name << ": given up after " << failing_points_ << " failing kill points";
        break;
      }
    }
    judge();
    return result_;
  }

 private:
  enum class outcome { died, survived, diverged };

  /// Runs `drive` on a fresh victim that stands at section_begin().
  template <typename Drive>
  outcome with_victim(Drive drive) {
    if (plan_.setup)
      plan_.setup();
    const pinned one_cpu;
    child process(plan_.name + " victim", [this](agent& self) {
      tracee::trace_me();
      plan_.victim(self);
    });
    tracee traced(process, plan_.unblock, plan_.limit);
    traced.run_to_marker();
    base_ = traced.where().sp;
    return drive(process, traced);
  }

  outcome finish(child& process, tracee& traced) {
    traced.let_go();
    const exit_status how = process.wait(plan_.limit);
    if (!how.exited_with(0))
      throw std::runtime_error(plan_.name + ": the survivor did not exit well: " + how.describe());
    return outcome::survived;
  }

  [[noreturn]] void ended_by_itself(child& process, std::size_t index, std::uintptr_t pc) {
    throw std::runtime_error(plan_.name + ": the victim ended by itself (" + process.wait().describe() + ") after " +
                             std::to_string(index) + " instructions, at " + describe_address(pc));
  }

  void record() {
    with_victim([this](child& process, tracee& traced) {
      for (;;) {
        const std::size_t index = route_.length();
        route_.add(traced.where());
        const auto got = traced.step();
        if (got == tracee::stop::ended)
          ended_by_itself(process, index, route_.pc(index));
        if (got == tracee::stop::at_marker)
          return finish(process, traced);
        if (traced.slept_in_last_step())
          sleeps_.insert(index);
      }
    });
    result_.length = route_.length() - 1;  // the last step is the marker's own
    check({result_.length, false, false, route_.pc(result_.length)});
  }

  /// False: the victim survived.
  bool kill_at(std::size_t index, bool asleep) {
    kill_point point{index, false, asleep, 0};
    bool jump = plan_.accelerate && result_.diverged < 3 && route_.has(index);
    std::size_t from = jump ? route_.waypoint(index) : 0;
    jump = jump && route_.cost(from, index) < index;
    outcome got = with_victim(
        [&](child& c, tracee& t) { return jump ? drive_by_waypoint(c, t, from, point) : drive(c, t, 0, point); });
    if (got == outcome::diverged) {
      ++result_.diverged;
      jump = false;
      got = with_victim([&](child& c, tracee& t) { return drive(c, t, 0, point); });
    }
    point.died = got == outcome::died;
    if (point.died) {
      ++result_.deaths;
      result_.accelerated += jump;
      result_.asleep += point.asleep;
    }
    check(point);
    return point.died;
  }

  outcome drive_by_waypoint(child& process, tracee& traced, std::size_t from, kill_point& point) {
    const auto got = traced.run_to(route_.pc(from), route_.visits(from));
    if (got == tracee::stop::ended)
      ended_by_itself(process, from, route_.pc(from));
    if (got != tracee::stop::at_breakpoint || !route_.is_at(from, traced.where(), base_)) {
      traced.kill();
      return outcome::diverged;
    }
    return drive(process, traced, from, point);
  }

  outcome drive(child& process, tracee& traced, std::size_t from, kill_point& point) {
    for (std::size_t i = from; i < point.index; ++i) {
      const auto got = traced.step();
      if (got == tracee::stop::ended)
        ended_by_itself(process, i, route_.has(i) ? route_.pc(i) : 0);
      if (got == tracee::stop::at_marker)
        return from == 0 ? finish(process, traced) : abandon(traced);
    }
    const auto here = traced.where();
    if (from != 0 && !route_.is_at(point.index, here, base_))
      return abandon(traced);
    point.pc = here.pc;
    // The recorded run slept here; this one may find that what it would wait for has happened already.
    if (point.asleep)
      point.asleep = traced.step(true) == tracee::stop::asleep;
    traced.kill();
    return outcome::died;
  }

  static outcome abandon(tracee& traced) {
    traced.kill();
    return outcome::diverged;
  }

  void check(const kill_point& point) {
    const std::size_t before = failures_so_far();
    {
      SCOPED_TRACE(plan_.name + ", " + point.describe());
      plan_.after(point);
    }
    failing_points_ += failures_so_far() > before;
  }

  void judge() {
    if (result_.deaths == 0)
      ADD_FAILURE() << plan_.name << ": no victim was killed: " << result_.describe();
    const bool to_the_end = plan_.last == std::numeric_limits<std::size_t>::max();
    if (to_the_end && !result_.last_survived && failing_points_ < plan_.stop_after_failures) {
      ADD_FAILURE() << plan_.name << ": the last victim did not survive: " << result_.describe();
    }
  }

  const sweep_plan& plan_;
  path route_;
  std::uintptr_t base_ = 0;  // the present victim's stack pointer at section_begin()
  std::set<std::size_t> sleeps_;
  sweep_result result_;
  std::size_t failing_points_ = 0;
  std::size_t survivors_in_a_row_ = 0;
};

}  // namespace

std::string kill_point::describe() const {
  std::ostringstream out;
  out << (died ? "kill point " : "survivor, point ") << index << ": " << (asleep ? "asleep in " : "")
      << describe_address(pc);
  return out.str();
}

std::string sweep_result::describe() const {
  std::ostringstream out;
  out << length << " instructions, " << deaths << " kill points (" << asleep << " asleep in a system call, "
      << accelerated << " by a breakpoint), " << diverged << " runs repeated, the last victim "
      << (last_survived ? "survived" : "did not survive");
  return out.str();
}

sweep_result sweep(const sweep_plan& plan) {
  if (const auto why = tracing_unavailable())
    throw std::runtime_error(plan.name + ": " + *why);
  if (plan.stride == 0)
    throw std::logic_error(plan.name + ": a stride of 0 goes nowhere");
  return sweeper(plan).run();
}

}  // namespace outlive::testing
