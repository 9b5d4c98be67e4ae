// What supervisors store: recover(), reset() and dispatch(), killed after each of their stores to
// the segment, by the kit that users have.
//
// That covers `outlive recover`, `reset` and `supervise`, too. They use public headers alone, look
// through views, whose mappings cannot be written to, and change a segment by open() and these
// three calls. open() stores nothing but what joins a process, which is a part of its first use;
// that is explored here, for the victims are new processes. A library with repairs registers them
// in its process and not in the segment. What is left, that the commands make these calls and no
// others, tests/cli/recover_test.py looks at by killing one at random.
#include <outlive/killtest/gtest.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <outlive/outlive.hpp>

#include "killtest/inside.hpp"

namespace outlive::killtest::testing {
namespace {

struct pair_of_numbers {
  long a = 1;
  long b = 1;  // invariant: equal to a
};
using guarded_pair = guarded<pair_of_numbers>;

repair_result mend(pair_of_numbers& x, const owner_death&) {
  x.b = x.a;
  return repaired;
}

/// A process that dies with the pair half changed, and is reaped.
void let_somebody_die(segment& seg) {
  const pid_t pid = fork();
  if (pid == 0) {
    auto& pair = *seg.find<guarded_pair>("pair");
    pair.mutex().lock();
    ++pair.unguarded().a;
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
}

std::string is_whole(segment& seg) {
  auto& pair = *seg.find<guarded_pair>("pair");
  const auto held = pair.lock();
  return held->a == held->b
             ? std::string()
             : "the pair is torn: " + std::to_string(held->a) + ", " + std::to_string(held->b);
}

/// Somebody died before the victim comes to recover.
scenario of_supervisor(std::string name, std::function<void(segment&)> victim) {
  scenario made;
  made.name = std::move(name);
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_pair>("pair", "pair"));
    let_somebody_die(seg);
  };
  made.repairs = [](segment& seg) {
    return all_of(on_owner_death<pair_of_numbers>(seg, "pair", mend));
  };
  made.victim = std::move(victim);
  made.invariant = is_whole;
  return made;
}

TEST(supervisor_protocols, recover) {
  const report found =
      explore(of_supervisor("recover", [](segment& seg) { recover(seg); }), inside());
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.states.size(), 10U) << found;
}

TEST(supervisor_protocols, dispatch) {
  const report found = explore(
      of_supervisor("dispatch", [](segment& seg) { supervisor(seg).dispatch(); }), inside());
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.states.size(), 10U) << found;
}

bool rebuild(segment& seg) {
  return reset(*seg.find<guarded_pair>("pair"), [](pair_of_numbers& x, const owner_death&) {
    x.a = 7;
    x.b = 7;
    return repaired;
  });
}

/// At each crash state the mutex is consistent and the pair whole, or it can still be reset.
TEST(supervisor_protocols, reset) {
  scenario what = of_supervisor("reset", [](segment& seg) { rebuild(seg); });
  what.options.attempts = 2;
  what.make = [](segment& seg) {
    auto& pair = seg.find_or_construct<guarded_pair>("pair", "pair");
    let_somebody_die(seg);
    const auto fails = on_owner_death<pair_of_numbers>(
        seg, "pair", [](pair_of_numbers&, const owner_death&) { return failed; });
    std::error_code error;
    for (int i = 0; i < 2; ++i) pair.mutex().lock(error);
  };
  what.repairs = nullptr;
  what.invariant = [](segment& seg) {
    rebuild(seg);
    return is_whole(seg);
  };
  explore_options how = inside();
  how.depth = 1;
  const report found = explore(what, how);
  EXPECT_TRUE(found.fault.empty()) << found;
  EXPECT_GT(found.states.size(), 10U) << found;
  for (const crash_state& each : found.states)
    EXPECT_TRUE(each.result == verdict::ok || each.result == verdict::repair_failed) << found;
}

}  // namespace
}  // namespace outlive::killtest::testing
