// A supervisor while participants are killed.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"
#include "segment/segment_access.hpp"
#include "support/leaks.hpp"
#include "support/orphans.hpp"

namespace outlive::testing {
namespace {

class supervisor_kill_test : public ::testing::Test {
 protected:
  accounts all_{8};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(supervisor_kill_test, tells_the_signal_and_all_that_was_held) {
  watching watch(all_.seg());
  child owner("owner", [&](agent& parent) {
    for (unsigned i = 0; i < 5; ++i) all_.lock_and_tear(i);
    parent.tell("inside");
    parent.pause_forever();
  });
  owner.wait_for("inside");
  owner.kill();
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  const participant_death& death = watch.deaths.at(0);
  EXPECT_EQ(death.signal, SIGKILL);
  EXPECT_FALSE(death.exit_code);
  EXPECT_EQ(death.recovered.size(), 5u);
  ASSERT_EQ(death.threads.size(), 1u);
  EXPECT_EQ(death.threads[0].in_hand.size(), 5u);
  EXPECT_NE(to_string(death).find("was killed by SIGKILL: 5 mutexes recovered, 0 not"),
            std::string::npos)
      << to_string(death);
  for (unsigned i = 0; i < 5; ++i) expect_usable(all_, i);
  owner.expect_killed();
}

/// As after hazard A16: the mutex is free, one of its waiters dies, and another one sleeps. That
/// one is no locker of ours, who would look up by itself. The kernel does not wake it either: it
/// knows nothing of what the dying waiter was at.
TEST_F(supervisor_kill_test, wakes_who_a_dying_waiter_left_asleep) {
  watching watch(all_.seg());
  all_.mutex().lock();
  child waiter("waiter", [&](agent&) {
    all_.mutex(1).lock();  // to have a record
    all_.mutex(1).unlock();
    syscall(SYS_set_robust_list, nullptr, 3 * sizeof(void*));
    all_.mutex().lock();
  });
  ASSERT_TRUE(within(default_timeout(), [&] { return all_.has_waited(waiter.pid()); }));
  waiter.kill(SIGSTOP);
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(waiter.pid()) == 'T'; }));
  all_.mutex().unlock();
  child sleeper("sleeper", [&](agent& parent) {
    parent.tell("ready");
    const timespec limit{
        std::chrono::duration_cast<std::chrono::seconds>(default_timeout()).count(), 0};
    const long rc = syscall(SYS_futex, &reinterpret_cast<pthread_mutex_t&>(all_.mutex()),
                            FUTEX_WAIT, 0, &limit, nullptr, 0);
    EXPECT_EQ(rc, 0) << "not woken: errno " << errno;
  });
  sleeper.wait_for("ready");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(sleeper.pid()) == 'S'; }));
  waiter.kill();
  ASSERT_TRUE(watch.until_dead(waiter.pid()));
  ASSERT_EQ(watch.deaths.at(0).threads.size(), 1u) << "the mutex that it waited for was in hand";
  EXPECT_TRUE(watch.deaths[0].recovered.empty());
  sleeper.expect_exit(0);
  waiter.expect_killed();
}

TEST_F(supervisor_kill_test, an_orphan_is_found_and_recovered) {
  watching watch(all_.seg(), sweeping_often());
  for (const orphan_kind kind :
       {orphan_kind::list_unset, orphan_kind::damaged_list, orphan_kind::too_many_held}) {
    watch.deaths.clear();
    child owner("owner", [&](agent&) {
      die_leaving_orphans(kind, {.acquire = [&] { all_.lock_and_tear(1); }});
    });
    expect_orphaned(owner, kind);
    ASSERT_TRUE(watch.until([&] {
      return !watch.deaths.empty() && !watch.deaths.back().recovered.empty();
    })) << name_of(kind);
    EXPECT_TRUE(watch.deaths.back().recovered[0].adopted) << name_of(kind);
    expect_usable(all_, 1);
  }
}

TEST_F(supervisor_kill_test, a_pid_that_was_given_to_another_process_is_no_participant) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  // As if the slot named a process that had the pid before: with another start time.
  auto& map = *detail::segment_access::mapping_of(all_.seg());
  bool found = false;
  for (std::uint32_t i = 0; i < map.constants().participants; ++i) {
    auto& identity = map.participant_at(i).identity;
    if (static_cast<pid_t>(identity.load() >> 32) != owner.pid()) continue;
    identity.store(identity.load() ^ 0x10);
    found = true;
  }
  ASSERT_TRUE(found);
  watching watch(all_.seg());
  EXPECT_EQ(watch->watched(), 0u) << "a stranger is watched in the place of a dead process";
  EXPECT_TRUE(watch.deaths.empty());
  EXPECT_FALSE(all_.mutex().try_lock()) << "what the living hold was recovered";
  owner.kill();
  owner.expect_killed();
}

TEST_F(supervisor_kill_test, a_table_full_of_the_dead) {
  const auto slots = all_.seg().options().participants;
  for (std::uint32_t i = 0; i < 2 * slots; ++i) {
    child tidy("tidy", [&](agent&) {
      all_.mutex(0).lock();
      all_.mutex(0).unlock();
      _exit(0);
    });
    tidy.expect_exit(0);
  }
  watching watch(all_.seg());
  EXPECT_TRUE(watch.deaths.empty());
  for (std::uint32_t i = 0; i < slots; ++i) {
    child owner("owner", all_.holder());
    owner.wait_for("inside");
    owner.kill();
    ASSERT_TRUE(watch.until_dead(owner.pid()));
    owner.expect_killed();
  }
  EXPECT_EQ(watch.deaths.size(), slots);
  EXPECT_EQ(watch->watched(), 0u);
}

TEST_F(supervisor_kill_test, the_segment_is_unlinked_while_it_is_watched) {
  const std::string name = "supervisor-kill-test." + std::to_string(getpid());
  auto seg = segment::create(name, small_segment());
  watching watch(seg);
  ASSERT_TRUE(segment::unlink(name));
  child owner("owner", [&](agent& parent) {
    seg.find_or_construct<robust_mutex>("late", "account").lock();
    parent.tell("inside");
    parent.pause_forever();
  });
  owner.wait_for("inside");
  owner.kill();
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  EXPECT_EQ(watch.deaths.at(0).recovered.size(), 1u);
  EXPECT_TRUE(watch.errors.empty()) << watch.errors[0];
  owner.expect_killed();
}

TEST_F(supervisor_kill_test, what_a_waiter_inherited_is_told_of_the_dead_owner) {
  watching watch(all_.seg());
  child owner("owner", all_.holder(1));
  owner.wait_for("inside");
  child waiter("waiter", [&](agent& parent) {
    parent.tell("waits");
    EXPECT_TRUE(all_[1].lock().recovered());
    parent.tell("done");
    parent.await("end");
  });
  waiter.wait_for("waits");
  ASSERT_TRUE(within(default_timeout(), [&] { return all_.has_waited(waiter.pid()); }));
  watch->dispatch();
  owner.kill();
  owner.expect_killed();
  waiter.wait_for("done");
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  const participant_death& death = *watch.find(owner.pid());
  EXPECT_TRUE(death.recovered.empty()) << "the supervisor was not the heir";
  ASSERT_EQ(death.inherited.size(), 1u);
  EXPECT_EQ(death.inherited[0].mutex_name, "account 1");
  EXPECT_EQ(death.inherited[0].lock_class, "account");
  EXPECT_EQ(death.inherited[0].tid, owner.pid());
  EXPECT_EQ(death.inherited[0].heir.pid, waiter.pid());
  EXPECT_EQ(death.inherited[0].outcome, death_outcome::repaired);
  EXPECT_NE(to_string(death).find(" has ended: 1 mutex inherited by another thread"),
            std::string::npos)
      << to_string(death);
  EXPECT_EQ(all_.repairs(), 1u);
  waiter.tell("end");
  waiter.expect_exit(0);
  ASSERT_TRUE(watch.until_dead(waiter.pid()));
  EXPECT_TRUE(watch.find(waiter.pid())->inherited.empty());
}

}  // namespace
}  // namespace outlive::testing
