// The engines find the same crash states; the one that is chosen fits the victim.
#include <outlive/killtest/gtest.hpp>

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

std::vector<std::uint64_t> hashes_of(const report& found) {
  std::vector<std::uint64_t> hashes;
  for (const crash_state& each : found.states) hashes.push_back(each.hash);
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

report explore_by(engine which, const scenario& what, unsigned depth = 1) {
  explore_options how;
  how.with = which;
  how.depth = depth;
  how.confirm = 8;
  return explore(what, how);
}

TEST(engines, single_steps_find_the_states_that_write_faults_find) {
  using repair_of_bank = repair_result (*)(bank&, const owner_death&);
  for (const auto& [repair, depth] : {std::pair<repair_of_bank, unsigned>{&undo_in_order, 1}, {&clear_flag_first, 2}}) {
    const report by_faults = explore_by(engine::page_protection, bank_scenario(repair), depth);
    const report by_steps = explore_by(engine::single_step, bank_scenario(repair), depth);
    EXPECT_EQ(by_faults.used, engine::page_protection);
    EXPECT_EQ(by_steps.used, engine::single_step);
    ASSERT_FALSE(by_faults.states.empty()) << by_faults;
    EXPECT_EQ(hashes_of(by_faults), hashes_of(by_steps)) << by_faults << by_steps;
    EXPECT_EQ(by_faults.failed(), by_steps.failed());
    EXPECT_EQ(by_steps.confirmed, by_faults.confirmed);
    EXPECT_GT(by_steps.confirmed, 0U);
  }
}

TEST(engines, the_same_states_have_the_same_hashes_in_each_run) {
  const scenario what = bank_scenario(&undo_in_order);
  EXPECT_EQ(hashes_of(explore_by(engine::automatic, what)), hashes_of(explore_by(engine::automatic, what)));
}

TEST(engines, single_steps_are_taken_when_a_system_call_writes_into_the_segment) {
  scenario reads = bank_scenario(&undo_in_order);
  reads.victim = [](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    const long amount = 7;
    static_cast<void>(::write(ends[1], &amount, sizeof amount));
    static_cast<void>(::read(ends[0], &held->undo.b, sizeof amount));
    ::close(ends[0]);
    ::close(ends[1]);
  };
  const report found = explore_by(engine::automatic, reads);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.used, engine::single_step);
  EXPECT_NE(found.engine_reason.find("system calls"), std::string::npos) << found.engine_reason;
  const report forced = explore_by(engine::page_protection, reads);
  EXPECT_FALSE(forced.ok()) << "an engine that does not see the store must not pass";
  EXPECT_NE(forced.fault.find("system calls"), std::string::npos) << forced;
}

TEST(engines, a_victim_that_does_not_do_the_same_each_time_is_refused) {
  scenario other = bank_scenario(&undo_in_order);
  other.victim = [](segment& seg) { seg.find<guarded<bank>>("accounts")->lock()->undo.b = ::getpid(); };
  const report found = explore_by(engine::automatic, other);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("does not do the same each time"), std::string::npos) << found;
}

TEST(engines, a_victim_that_stores_nothing_is_no_pass) {
  scenario nothing = bank_scenario(&undo_in_order);
  nothing.victim = [](segment&) {};
  const report found = explore(nothing);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("nothing to kill"), std::string::npos) << found;
}

TEST(engines, a_victim_that_throws_is_told) {
  scenario throws = bank_scenario(&undo_in_order);
  throws.victim = [](segment& seg) {
    seg.find<guarded<bank>>("accounts")->lock()->a = 1;
    throw std::runtime_error("what the victim says");
  };
  const report found = explore(throws);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("what the victim says"), std::string::npos) << found;
}

TEST(engines, an_isolated_heir_comes_to_the_same_verdicts) {
  explore_options isolated;
  isolated.isolate = true;
  for (const auto repair : {&undo_in_order, &clear_flag_first}) {
    const report in_one = explore(bank_scenario(repair));
    const report each_alone = explore(bank_scenario(repair), isolated);
    EXPECT_EQ(in_one.failed(), each_alone.failed()) << in_one << each_alone;
    EXPECT_EQ(in_one.points, each_alone.points);
  }
}

}  // namespace
}  // namespace outlive::killtest::testing
