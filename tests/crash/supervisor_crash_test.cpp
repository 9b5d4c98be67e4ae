// What a supervisor tells of a process that crashed, and of one that hangs, with the crash
// recorder's library.
#include <outlive/live_stack.hpp>

#include "crash/dying.hpp"
#include "scenes/watching.hpp"

namespace outlive::testing {
namespace {

struct supervisor_crash_test : crash_test {
  repair_registration repair =
      on_owner_death(seg, "class", [](const owner_death&) { return repaired; });
};

TEST_F(supervisor_crash_test, death_is_told_with_signal_address_and_stack) {
  watching watch(seg);
  crash_in_child(SIGSEGV, store_to_null);
  ASSERT_TRUE(watch.until([&] { return !watch.deaths.empty(); }));
  ASSERT_EQ(watch.deaths[0].threads.size(), 1U);
  const thread_death& dead = watch.deaths[0].threads[0];
  ASSERT_EQ(dead.in_hand.size(), 1U);
  ASSERT_TRUE(dead.crash.has_value());
  EXPECT_EQ(to_string(*dead.crash), "SIGSEGV (address not mapped) at 0x0");
  crash_report named = *dead.crash;
  name_functions(named);
  EXPECT_TRUE(names(named, "store_to_null")) << text_of(named);
  EXPECT_TRUE(names(named, "crash_in_child")) << text_of(named);
  EXPECT_EQ(watch.deaths[0].recovered.size(), 1U);
}

TEST_F(supervisor_crash_test, crash_of_a_thread_with_nothing_in_hand_is_told_too) {
  watching watch(seg);
  child dying("dying", [&](agent&) {
    const crash_recorder recorder;
    mutex.lock();
    mutex.unlock();
    store_to_null();
  });
  dying.expect_killed(SIGSEGV);
  ASSERT_TRUE(watch.until_dead(dying.pid()));
  ASSERT_EQ(watch.deaths[0].threads.size(), 1U);
  EXPECT_TRUE(watch.deaths[0].threads[0].in_hand.empty());
  ASSERT_TRUE(watch.deaths[0].threads[0].crash.has_value());
  EXPECT_EQ(watch.deaths[0].threads[0].crash->signal, SIGSEGV);
}

[[gnu::noinline]] void hold_in_here(robust_mutex& mutex, agent& me) {
  mutex.lock();
  me.tell("holding");
  me.pause_forever();
}

TEST_F(supervisor_crash_test, owner_that_hangs_is_told_with_its_stack) {
  child owner("owner", [&](agent& me) { hold_in_here(mutex, me); });
  owner.wait_for("holding");
  supervisor_options options = sweeping_often();
  options.stacks = live_stack;
  watching watch(seg, options);
  std::vector<hung_owner> hung;
  watch->on_hung(milliseconds(20), [&](const hung_owner& each) { hung.push_back(each); });
  ASSERT_TRUE(watch.until([&] { return !hung.empty(); }));
  EXPECT_EQ(hung[0].stack.problem, "");
  EXPECT_NE(to_string(hung[0].stack).find("hold_in_here"), std::string::npos)
      << to_string(hung[0].stack);
  owner.kill();
  owner.expect_killed();
}

}  // namespace
}  // namespace outlive::testing
