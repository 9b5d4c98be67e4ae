// The owner is killed while it holds a lock: the next one repairs, whichever way it acquires, and
// only once.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "scenes/accounts.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class owner_kill_test : public ::testing::Test {
 protected:
  accounts all_;
  repair_registration repair_ = all_.mended_here();
};

TEST_F(owner_kill_test, killed_while_holding_the_next_locker_repairs_once) {
  const std::uint32_t records = all_.seg().threads_in_use();
  kill_a_holder(all_);
  EXPECT_EQ(all_.repairs(), 0u) << "nobody has met the death yet";
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_EQ(all_.seg().threads_in_use(), records);
}

TEST_F(owner_kill_test, killed_outside_of_the_lock_nothing_is_repaired) {
  child victim("victim", [&](agent& parent) {
    { auto x = all_[0].lock(); }
    parent.tell("left");
    parent.pause_forever();
  });
  victim.wait_for("left");
  victim.kill();
  victim.expect_killed();
  expect_usable(all_);
  EXPECT_EQ(all_.repairs(), 0u);
}

TEST_F(owner_kill_test, a_blocked_locker_inherits_at_once) {
  shared_counter inherited;
  child victim("victim", [&](agent& parent) {
    all_.lock_and_tear();
    parent.tell("inside");
    parent.pause_forever();
  });
  victim.wait_for("inside");
  child waiter("waiter", [&](agent& parent) {
    parent.tell("waits");
    auto x = all_[0].lock();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(x->whole());
    inherited.add();
  });
  waiter.wait_for("waits");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(waiter.pid()) == 'S'; }));
  EXPECT_EQ(inherited.load(), 0u);
  victim.kill();
  victim.expect_killed();
  ASSERT_TRUE(inherited.wait_equal(1)) << all_.who_holds_what();
  waiter.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(owner_kill_test, of_eight_waiters_one_repairs_and_all_get_the_lock) {
  shared_counter waiting, entered, recovered;
  child victim("victim", [&](agent& parent) {
    all_.lock_and_tear();
    parent.tell("inside");
    parent.pause_forever();
  });
  victim.wait_for("inside");
  std::vector<std::unique_ptr<child>> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(std::make_unique<child>("waiter " + std::to_string(i), [&](agent&) {
      waiting.add();
      auto x = all_[0].lock();
      EXPECT_TRUE(x->whole());
      recovered.add(x.recovered());
      entered.add();
    }));
  }
  ASSERT_TRUE(waiting.wait_equal(8));
  for (const auto& each : waiters) {
    ASSERT_TRUE(within(default_timeout(), [&] { return task_state(each->pid()) == 'S'; }));
  }
  victim.kill();
  victim.expect_killed();
  ASSERT_TRUE(entered.wait_equal(8)) << entered.load() << " of 8 entered\n"
                                     << all_.who_holds_what();
  for (const auto& each : waiters) each->expect_exit(0);
  EXPECT_EQ(recovered.load(), 1u);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(owner_kill_test, every_way_to_acquire_inherits) {
  const std::vector<std::pair<const char*, std::function<bool(robust_mutex&)>>> ways{
      {"lock", [](robust_mutex& m) { return m.lock(), true; }},
      {"try_lock", [](robust_mutex& m) { return m.try_lock(); }},
      {"try_lock_for", [](robust_mutex& m) { return m.try_lock_for(default_timeout()); }},
      {"try_lock_for nothing", [](robust_mutex& m) { return m.try_lock_for(milliseconds(0)); }},
      {"try_lock_until the past",
       [](robust_mutex& m) {
         return m.try_lock_until(std::chrono::steady_clock::now() - milliseconds(5));
       }},
      {"try_lock_until on another clock",
       [](robust_mutex& m) {
         return m.try_lock_until(std::chrono::system_clock::now() + default_timeout());
       }},
  };
  unsigned repairs = 0;
  for (const auto& [name, acquire] : ways) {
    SCOPED_TRACE(name);
    kill_a_holder(all_);
    ASSERT_TRUE(acquire(all_.mutex()));
    EXPECT_TRUE(all_.mutex().recovered());
    EXPECT_TRUE(all_.value().whole());
    all_.mutex().unlock();
    EXPECT_EQ(all_.repairs(), ++repairs);
  }
}

TEST_F(owner_kill_test, parent_and_child_either_dying) {
  // A process in the middle: its own child holds, then it holds itself; both deaths are met by the
  // test.
  shared_value<pid_t> leaf_pid;
  child middle("middle", [&](agent& parent) {
    child leaf("leaf", [&](agent& self) {
      all_.lock_and_tear();
      self.tell("inside");
      self.pause_forever();
    });
    leaf.wait_for("inside");
    leaf.kill();
    leaf.expect_killed();
    {
      auto x = all_[0].try_lock_for(default_timeout());  // the parent inherits from its child
      ASSERT_TRUE(x) << all_.who_holds_what();
      EXPECT_TRUE(x.recovered());
    }
    all_.lock_and_tear();
    child heir("heir", [&](agent& self) {
      self.tell("waits");
      auto x = all_[0].lock();  // the child inherits from its parent, unless it dies with it
      self.pause_forever();
    });
    heir.wait_for("waits");
    parent.tell("inside");
    parent.pause_forever();
  });
  middle.wait_for("inside");
  EXPECT_EQ(all_.repairs(), 1u);
  middle.kill();
  middle.expect_killed();
  expect_survivor(all_, 0, true);
  // The leaf's death once. The middle's once, by whoever came first; and once more if that was the
  // heir, who was killed inside.
  EXPECT_GE(all_.repairs(), 2u);
  EXPECT_LE(all_.repairs(), 3u);
}

TEST_F(owner_kill_test, a_child_inherits_from_its_parent_and_goes_on_alone) {
  shared_counter inherited;
  shared_value<pid_t> orphaned;
  child parent_process("parent process", [&](agent& parent) {
    all_.lock_and_tear();
    const pid_t pid = fork();  // a plain fork: this child outlives its parent
    if (pid == 0) {
      orphaned.store(getpid());
      std::error_code error;
      all_.mutex().unlock(error);
      if (error != errc::not_owner) _exit(1);
      all_.mutex().lock(error);
      if (!error && all_.mutex().recovered() && all_.value().whole()) inherited.add();
      _exit(0);
    }
    parent.tell("forked");
    parent.pause_forever();
  });
  parent_process.wait_for("forked");
  ASSERT_TRUE(orphaned.wait([](pid_t pid) { return pid != 0; }));
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(orphaned.load()) == 'S'; }));
  parent_process.kill();
  parent_process.expect_killed();
  ASSERT_TRUE(inherited.wait_equal(1)) << all_.who_holds_what();
  ASSERT_TRUE(within(default_timeout(), [&] { return is_dead(orphaned.load()); }));
  // It left with the lock in hand.
  expect_survivor(all_, 0, true);
  EXPECT_EQ(all_.repairs(), 2u);
}

}  // namespace
}  // namespace outlive::testing
