#include "support/single_step.hpp"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/code_address.hpp"
#include "support/sweep_path.hpp"

namespace outlive::testing {
namespace {

/// Puts tracer and victim on one CPU, which halves the cost of a stop; and, if permitted (root),
/// ahead of all others there. Each of the millions of stops is a hand-over, which would otherwise
/// wait for the end of another program's time slice.
class pinned {
 public:
  pinned() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
    sched_setaffinity(0, sizeof one, &one);
    const sched_param ahead{1};
    is_ahead_ = sched_setscheduler(0, SCHED_RR, &ahead) == 0;
  }
  ~pinned() {
    const sched_param usual{0};
    if (is_ahead_) sched_setscheduler(0, SCHED_OTHER, &usual);
    sched_setaffinity(0, sizeof before_, &before_);
  }
  pinned(const pinned&) = delete;
  pinned& operator=(const pinned&) = delete;

 private:
  cpu_set_t before_;
  bool is_ahead_ = false;
};

/// The visible state of a victim: the watched bytes, and the robust list, which the kernel walks at
/// its death.
class visible_state {
 public:
  visible_state(const std::vector<std::span<const std::byte>>& watched, const tracee& traced)
      : watched_(watched), traced_(traced) {
    is_new();
  }

  bool is_new() {
    bool differs = false;
    copies_.resize(watched_.size());
    for (std::size_t i = 0; i < watched_.size(); ++i) {
      auto& copy = copies_[i];
      const auto now = watched_[i];
      if (copy.size() == now.size() && std::memcmp(copy.data(), now.data(), now.size()) == 0)
        continue;
      copy.assign(now.begin(), now.end());
      differs = true;
    }
    const auto list = traced_.robust_list();
    return std::exchange(list_, list) != list || differs;
  }

 private:
  const std::vector<std::span<const std::byte>>& watched_;
  const tracee& traced_;
  std::vector<std::vector<std::byte>> copies_;
  tracee::robust_list_words list_{};
};

// Small blocks come from malloc's cache of the thread while it has some, by one way; else by ways
// that depend on the whole heap, which is the parent's. It has four of each size after this, and
// room for three.
void even_out_small_blocks() {
  constexpr std::size_t largest = 1032, step = 16, kept = 4;
  std::array<void*, 7> blocks{};  // as many as the cache can have of a size
  for (std::size_t size = 24; size <= largest; size += step) {
    for (void*& each : blocks) each = std::malloc(size);
    std::for_each(blocks.begin(), blocks.begin() + kept, [](void* each) { std::free(each); });
  }
}

std::size_t failures_so_far() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  return info ? static_cast<std::size_t>(info->result()->total_part_count()) : 0;
}

class sweeper {
 public:
  explicit sweeper(const sweep_plan& plan) : plan_(plan) {}

  sweep_result run() {
    record();
    // A section of varying length continues after the recorded length until a victim survives.
    const std::size_t end = 2 * route_.length() + 1000;
    for (std::size_t i = plan_.first; i <= plan_.last;
         i = route_.next(i, plan_.first, plan_.stride)) {
      if (i > end)
        throw std::runtime_error(plan_.name +
                                 ": no victim survives, the section has no stable length");
      if (has_another_way()) i = record_anew(i);
      const bool survived = !stop_at(i, false);
      result_.last_survived = survived;
      survivors_in_a_row_ = survived ? survivors_in_a_row_ + 1 : 0;
      // One early survivor may be an accident of time (the event that it waited for came sooner).
      if (survived && (!route_.has(i) || survivors_in_a_row_ == 3)) break;
      if (!survived && route_.sleeps_at(i)) stop_at(i, true);
      if (failing_points_ >= plan_.stop_after_failures) {
        ADD_FAILURE() << plan_.name << ": given up after " << failing_points_
                      << " failing kill points";
        break;
      }
    }
    judge();
    return result_;
  }

 private:
  enum class outcome { died, preempted, survived, diverged };

  /// Runs `drive` on a fresh victim at section_begin().
  template <typename Drive>
  outcome with_victim(Drive drive) {
    if (plan_.setup) plan_.setup();
    const pinned one_cpu;
    child process(plan_.name + " victim", [this](agent& self) {
      // The heap is the parent's, and differs from victim to victim. Malloc consolidates it here,
      // not in the section, where that would be stepped through.
      malloc_trim(0);
      even_out_small_blocks();
      tracee::trace_me();
      plan_.victim(self);
    });
    tracee traced(process, plan_.unblock, plan_.limit);
    traced.run_to_marker();
    base_ = traced.stopped_at().sp;
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
    throw std::runtime_error(plan_.name + ": the victim ended by itself (" +
                             process.wait().describe() + ") after " + std::to_string(index) +
                             " instructions, at " + describe_address(pc));
  }

  void record() {
    with_victim([this](child& process, tracee& traced) {
      std::optional<visible_state> visible;
      if (!plan_.watched.empty()) visible.emplace(plan_.watched, traced);
      for (;;) {
        const std::size_t index = route_.length();
        route_.add(traced.stopped_at());
        if (visible && visible->is_new()) route_.mark();
        const bool calls = visible && traced.at_system_call();
        const auto got = traced.step();
        if (got == tracee::stop::ended) ended_by_itself(process, index, route_.pc(index));
        if (got == tracee::stop::at_marker) return finish(process, traced);
        if (traced.slept_in_last_step()) route_.slept();
        if (calls) route_.mark_next();
      }
    });
    result_.length = route_.length() - 1;  // the last step is the marker's own
    result_.states = route_.marks();
    check({result_.length, false, false, route_.pc(result_.length)});
    if (plan_.accelerate) record_again();
  }

  void record_again() {
    sweep_path::visit_counts visits;
    with_victim([&](child& process, tracee& traced) {
      std::uintptr_t here = 0;
      tracee::stop got = tracee::stop::stepped;
      for (std::size_t i = 0; got != tracee::stop::at_marker; ++i) {
        here = traced.stopped_at().pc;
        ++visits[here];
        got = traced.step();
        if (got == tracee::stop::ended) ended_by_itself(process, i, here);
      }
      return finish(process, traced);
    });
    route_.compare_with(visits);
    check({result_.length, false, false, route_.pc(result_.length)});
  }

  /// Victims that keep leaving the recorded path have another one by now: the parent's heap has
  /// changed, or a number in /proc has one more digit. A point that is stepped from the start costs
  /// a thousand times as much, for the rest of the sweep. So the path is recorded again, when that
  /// has become cheap beside the steps; if it did not help, no jumps are tried for some points.
  bool has_another_way() const {
    return points_on_route_ >= 10 && (lost_in_a_row_ >= 3 || plain_steps_ > 10 * route_.length());
  }

  /// Returns: the index to continue at. The new path may have points before it that the old one
  /// lacked.
  std::size_t record_anew(std::size_t index) {
    const std::size_t former = route_.length();
    route_ = {};
    lost_in_a_row_ = points_on_route_ = plain_steps_ = rest_ = 0;
    record();
    ++result_.recorded_again;
    const std::size_t shift = std::max(former, route_.length()) - std::min(former, route_.length());
    return index > plan_.first + shift ? index - shift : plan_.first;
  }

  bool may_jump_to(std::size_t index) {
    ++points_on_route_;
    if (!plan_.accelerate || !route_.has(index)) return false;
    if (lost_in_a_row_ >= 3) {
      lost_in_a_row_ = 0;
      rest_ = 32;
    }
    if (rest_ == 0) return true;
    --rest_;
    return false;
  }

  /// False: the victim survived.
  bool stop_at(std::size_t index, bool asleep) {
    kill_point point{index, false, asleep, 0};
    bool jump = false;
    outcome got = outcome::diverged;
    const bool may_jump = may_jump_to(index);
    for (int tries = 0; may_jump && tries < 4 && got == outcome::diverged; ++tries) {
      const auto route = route_.to(index);
      jump = route.from != 0;
      if (!jump) break;
      got = with_victim([&](child& c, tracee& t) { return drive_by_waypoint(c, t, route, point); });
      // another path through the clock's code, but a death all the same
      if (got == outcome::diverged && route_.is_in_clock(index)) return true;
      result_.diverged += got == outcome::diverged;
    }
    if (may_jump) lost_in_a_row_ = jump && got == outcome::diverged ? lost_in_a_row_ + 1 : 0;
    if (got == outcome::diverged) {
      jump = false;
      plain_steps_ += index;
      got = with_victim([&](child& c, tracee& t) { return drive(c, t, 0, point); });
    }
    point.died = got == outcome::died;
    result_.preempted += got == outcome::preempted;
    if (point.died) {
      ++result_.deaths;
      result_.accelerated += jump;
      result_.asleep += point.asleep;
    }
    check(point);
    return got != outcome::survived;
  }

  outcome drive_by_waypoint(child& process, tracee& traced, const sweep_path::route& route,
                            kill_point& point) {
    for (const auto& [pc, hits] : {route.anchor, route.waypoint, route.near_by}) {
      if (hits == 0) continue;
      const auto got = traced.run_to(pc, hits);
      if (got == tracee::stop::ended) ended_by_itself(process, route.from, pc);
      if (got != tracee::stop::at_breakpoint) {
        route_.distrust(pc);
        return abandon(traced);
      }
    }
    if (!route_.is_at(route.from, traced.stopped_at(), base_)) {
      route_.distrust(route_.pc(route.from));
      return abandon(traced);
    }
    return drive(process, traced, route.from, point);
  }

  outcome drive(child& process, tracee& traced, std::size_t from, kill_point& point) {
    for (std::size_t i = from; i < point.index; ++i) {
      const auto got = traced.step();
      if (got == tracee::stop::ended) ended_by_itself(process, i, route_.has(i) ? route_.pc(i) : 0);
      if (got == tracee::stop::at_marker)
        return from == 0 ? finish(process, traced) : abandon(traced);
    }
    const auto here = traced.stopped_at();
    if (from != 0 && !route_.is_at(point.index, here, base_)) return abandon(traced);
    point.pc = here.pc;
    // The recorded run slept here; in this one the event may have happened already.
    if (point.asleep) point.asleep = traced.step(true) == tracee::stop::asleep;
    if (plan_.meanwhile) {
      plan_.meanwhile(point);
      traced.run_to_marker();
      finish(process, traced);
      return outcome::preempted;
    }
    traced.kill();
    return outcome::died;
  }

  /// The victim is elsewhere. It dies there, which is as good a kill point, and `after` handles
  /// what it leaves before the next run.
  outcome abandon(tracee& traced) {
    const kill_point elsewhere{0, true, false, traced.stopped_at().pc};
    traced.kill();
    ++result_.deaths;
    check(elsewhere);
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
    if (result_.deaths + result_.preempted == 0)
      ADD_FAILURE() << plan_.name << ": no victim was killed: " << result_.describe();
    const bool to_the_end = plan_.last == std::numeric_limits<std::size_t>::max();
    if (to_the_end && !result_.last_survived && failing_points_ < plan_.stop_after_failures) {
      ADD_FAILURE() << plan_.name << ": the last victim did not survive: " << result_.describe();
    }
  }

  const sweep_plan& plan_;
  sweep_path route_;
  std::uintptr_t base_ = 0;  // the present victim's stack pointer at section_begin()
  sweep_result result_;
  std::size_t failing_points_ = 0;
  std::size_t survivors_in_a_row_ = 0;
  // Since the path was recorded:
  std::size_t points_on_route_ = 0;
  std::size_t lost_in_a_row_ = 0;  // points to which no jump led
  std::size_t plain_steps_ = 0;    // of runs that were stepped from the start
  std::size_t rest_ = 0;           // points for which no jump is tried
};

}  // namespace

std::string kill_point::describe() const {
  std::ostringstream out;
  out << (died ? "kill point " : "survivor, point ") << index << ": "
      << (asleep ? "asleep in " : "") << describe_address(pc);
  return out.str();
}

std::string sweep_result::describe() const {
  std::ostringstream out;
  out << length << " instructions, ";
  if (states != 0) out << states << " visible states, ";
  if (preempted != 0) out << preempted << " points of interruption, ";
  out << deaths << " kill points (" << asleep << " asleep in a system call, " << accelerated
      << " by a breakpoint), " << diverged << " runs repeated, the path recorded "
      << recorded_again + 1 << (recorded_again == 0 ? " time" : " times") << ", the last victim "
      << (last_survived ? "survived" : "did not survive");
  return out.str();
}

sweep_result sweep(const sweep_plan& plan) {
  if (const auto why = tracing_unavailable()) throw std::runtime_error(plan.name + ": " + *why);
  if (plan.stride == 0) throw std::logic_error(plan.name + ": a stride of 0 goes nowhere");
  return sweeper(plan).run();
}

}  // namespace outlive::testing
