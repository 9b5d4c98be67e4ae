// Threads caught between the native lock and the store that says that they are inside.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "scenes/accounts.hpp"
#include "scenes/trap.hpp"
#include "support/orphans.hpp"
#include "support/tid_reuse.hpp"

namespace outlive::testing {
namespace {

TEST(entering_kill_test,
     an_orphan_that_never_was_inside_is_adopted_by_recover_and_there_is_nothing_to_repair) {
  accounts all;
  const auto repair = all.mended_here();
  const auto* mutex = reinterpret_cast<const char*>(&all.mutex());
  child victim("victim", [&](agent&) {
    note(all.seg(), 1);
    the_trap = {mutex, mutex + sizeof(robust_mutex), 1, nullptr,
                [] { die_leaving_orphans(orphan_kind::list_unset, {}); }};
    all.mutex().lock();  // dies after the native trylock
  });
  expect_orphaned(victim, orphan_kind::list_unset);
  const auto lines = recover(all.seg());
  ASSERT_EQ(lines.size(), 1u) << all.who_holds_what();
  EXPECT_EQ(lines[0].outcome, recovery_outcome::nothing_to_repair) << to_string(lines[0].outcome);
  EXPECT_TRUE(lines[0].adopted);
  EXPECT_EQ(lines[0].pid, victim.pid());
  EXPECT_EQ(all.repairs(), 0u);
  expect_usable(all);
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
}

agent* parent_of_the_stranger = nullptr;

TEST(entering_kill_test,
     a_thread_that_is_entering_is_not_condemned_by_a_dead_ones_record_with_its_thread_id) {
  if (const auto why = tid_choice_unavailable()) GTEST_SKIP() << *why;
  accounts all(2, small_segment(), accounts::record::none);
  // The dead one's record tells of account 0, which is long repaired, and is kept by account 1,
  // which is not.
  const auto repair =
      on_owner_death<account>(all.seg(), "account", [&](account& x, const owner_death& death) {
        return all.index_of(death.mutex()) == 0 ? all.mend(x, death) : failed;
      });
  child owner("owner", [&](agent&) {
    all.lock_and_tear(0);
    all.lock_and_tear(1);
    kill(getpid(), SIGKILL);
  });
  owner.expect_killed();
  expect_survivor(all, 0, true);
  const auto* mutex = reinterpret_cast<const char*>(&all.mutex());
  child stranger(
      "stranger",
      [&](agent& parent) {
        parent_of_the_stranger = &parent;
        the_trap = {mutex, mutex + sizeof(robust_mutex), 1, nullptr, [] {
                      parent_of_the_stranger->tell("between");
                      parent_of_the_stranger->await("go on");
                    }};
        all.mutex().lock();  // rests after the native trylock, before it says that it is inside
        EXPECT_FALSE(all.mutex().recovered());
        all.mutex().unlock();
      },
      with_tid(owner.pid()));
  stranger.wait_for("between");
  EXPECT_FALSE(all.mutex().try_lock_for(milliseconds(600))) << "let in beside a living thread\n"
                                                            << all.who_holds_what();
  stranger.tell("go on");
  stranger.expect_exit(0);
  EXPECT_EQ(all.repairs(0), 1u);
  expect_usable(all);
}

}  // namespace
}  // namespace outlive::testing
