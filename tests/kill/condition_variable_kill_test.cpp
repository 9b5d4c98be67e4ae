// Waiters and notifiers are killed: nobody waits for them, and an owner's death is repaired before
// the predicate is asked.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/companion_soak.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;

class condition_variable_kill_test : public ::testing::Test {
 protected:
  /// Waits until the account says "go", b == 0; tells "woken" then.
  std::unique_ptr<child> waiter(const std::string& name) {
    auto made = std::make_unique<child>(name, [this](agent& parent) {
      auto x = all_[0].lock();
      parent.tell("waits");
      changed_.wait(x, [&] { return x->b == 0; });
      EXPECT_TRUE(x->whole());
      x.unlock();
      parent.tell("woken");
    });
    made->wait_for("waits");
    EXPECT_TRUE(within(default_timeout(), [&] {
      return task_state(made->pid()) == 'S' && all_[0].try_lock();
    })) << all_.who_holds_what();
    return made;
  }
  void say_go() {
    auto x = all_[0].lock();
    x->a = 1000;
    x->b = 0;
  }

  accounts all_;
  repair_registration repair_ = all_.mended_here();
  robust_condition_variable& changed_ =
      all_.seg().find_or_construct<robust_condition_variable>("changed");
};

TEST_F(condition_variable_kill_test, a_killed_waiter_takes_nothing_with_it) {
  auto dead = waiter("dead");
  auto lives = waiter("lives");
  dead->kill();
  dead->expect_killed();
  say_go();
  changed_.notify_one();
  lives->wait_for("woken");
  lives->expect_exit(0);
  EXPECT_EQ(all_.repairs(), 0u);
}

TEST_F(condition_variable_kill_test, fifty_killed_waiters_and_two_notifications_for_two_that_live) {
  for (int round = 0; round < 50; ++round) {
    auto dead = waiter("dead");
    dead->kill();
    dead->expect_killed();
  }
  auto first = waiter("first");
  auto second = waiter("second");
  say_go();
  changed_.notify_one();
  changed_.notify_one();
  first->wait_for("woken");
  second->wait_for("woken");
}

TEST_F(condition_variable_kill_test, a_change_whose_author_died_before_the_notification_is_seen) {
  auto lives = waiter("lives");
  child author("author", [this](agent&) {
    say_go();
    ::kill(::getpid(), SIGKILL);
  });
  author.expect_killed();
  lives->wait_for("woken");  // by its slice
}

TEST_F(condition_variable_kill_test,
       an_owner_that_dies_while_somebody_waits_is_repaired_before_the_predicate_is_asked) {
  auto lives = waiter("lives");
  child owner("owner", [this](agent&) {
    all_.mutex().lock();
    all_.value().a = 1000;  // torn: b is still 500
    ::kill(::getpid(), SIGKILL);
  });
  owner.expect_killed();
  lives->wait_for("woken");  // the repair makes b = 1000 - a
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(condition_variable_kill_test, a_waiter_that_cannot_have_the_mutex_again_owns_nothing) {
  child lives("lives", [&](agent& parent) {
    repair_.reset();
    auto x = all_[0].lock();
    parent.tell("waits");
    try {
      changed_.wait(x, [&] { return x->b == 0; });
      ADD_FAILURE() << "it came back";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), errc::owner_died_unrepaired) << error.what();
    }
    EXPECT_FALSE(x);
    EXPECT_THROW(all_.mutex().unlock(), std::system_error);
  });
  lives.wait_for("waits");
  child owner("owner", [this](agent&) {
    all_.lock_and_tear();
    ::kill(::getpid(), SIGKILL);
  });
  owner.expect_killed();
  lives.expect_exit(0);
  expect_survivor(all_, 0, true);
}

// Tokens go round among processes that are killed at random while they wait, notify and change:
// whoever lives goes on.
TEST_F(condition_variable_kill_test, killed_at_random_nobody_waits_for_ever) {
  shared_counter turns;
  soak_plan plan = soak_of_a_companion();
  plan.work = [&](const soak_worker& me) {
    while (!me.stopping()) {
      auto x = all_[0].lock();
      // Every player can go on as soon as it gets the mutex: its predicate is what the others
      // change.
      const long before = x->a;
      changed_.wait_for(x, 20ms, [&] { return x->a != before; });
      x->a -= 1;
      // others run while it is torn, so that kills find it so, on a slow machine, too
      std::this_thread::yield();
      x->b += 1;
      if (!x->whole()) me.parent.fail("let in to a torn account");
      x.unlock();
      turns.add();
      changed_.notify_one();
    }
  };
  plan.progress = [&] { return turns.load(); };
  plan.standing = [&] { return all_.who_holds_what(); };
  const soak_result result = soak(plan);
  EXPECT_GT(all_.repairs(), 0u) << result.describe();
  EXPECT_TRUE(all_[0].lock()->whole()) << result.describe();
}

}  // namespace
}  // namespace outlive::testing
