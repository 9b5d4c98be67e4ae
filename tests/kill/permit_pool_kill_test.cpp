// Holders of permits and those who wait for one are killed: no permit is lost, none is doubled.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "scenes/accounts.hpp"
#include "scenes/companion_soak.hpp"
#include "support/child.hpp"

namespace outlive::testing {
namespace {

using pool = permit_pool<8>;

class permit_pool_kill_test : public ::testing::Test {
 protected:
  /// A child that holds `count` permits.
  std::unique_ptr<child> holder(unsigned count) {
    auto made = std::make_unique<child>("holder", [this, count](agent& parent) {
      std::vector<permit> held;
      for (unsigned i = 0; i < count; ++i) held.push_back(pool_.acquire());
      parent.tell("holds");
      parent.pause_forever();
    });
    made->wait_for("holds");
    return made;
  }
  std::vector<permit> all_that_there_are() {
    std::vector<permit> got;
    while (permit one = pool_.try_acquire()) got.push_back(std::move(one));
    return got;
  }

  segment seg_ = segment::anonymous(small_segment());
  pool& pool_ = seg_.find_or_construct<pool>("pool", 3u);
};

TEST_F(permit_pool_kill_test, permits_of_the_dead_are_free) {
  auto dead = holder(2);
  auto lives = holder(1);
  EXPECT_EQ(pool_.count(), 0u);
  EXPECT_FALSE(pool_.try_acquire());
  dead->kill();
  dead->expect_killed();
  EXPECT_EQ(pool_.count(), 2u);
  EXPECT_EQ(all_that_there_are().size(), 2u);
}

// It had one of three, and the others waited for their turn.
TEST_F(permit_pool_kill_test, a_collector_that_dies_leaves_its_permits_and_its_turn) {
  auto lives = holder(2);
  child dead("collector", [this](agent& parent) {
    parent.tell("collects");
    static_cast<void>(pool_.acquire_many(3));
  });
  dead.wait_for("collects");
  ASSERT_TRUE(within(default_timeout(), [&] { return pool_.count() == 0; })) << "it has the third";
  child next("next", [this](agent& parent) {
    parent.tell("waits");
    EXPECT_EQ(pool_.acquire_many(3).size(), 3u);
  });
  next.wait_for("waits");
  dead.kill();
  dead.expect_killed();
  EXPECT_TRUE(within(default_timeout(), [&] { return pool_.count() == 0; }))
      << "the next one has it";
  lives->kill();
  lives->expect_killed();
  next.expect_exit(0);
  EXPECT_EQ(all_that_there_are().size(), 3u);
}

TEST_F(permit_pool_kill_test, a_waiter_gets_the_permit_of_the_dead) {
  auto dead = holder(3);
  child waiter("waiter", [this](agent& parent) {
    parent.tell("waits");
    const permit mine = pool_.acquire();
    parent.tell("has it");
  });
  waiter.wait_for("waits");
  dead->kill();
  dead->expect_killed();
  waiter.wait_for("has it");
  waiter.expect_exit(0);
  EXPECT_EQ(pool_.count(), 3u);
}

TEST_F(permit_pool_kill_test, a_killed_waiter_takes_no_permit_with_it) {
  std::vector<permit> mine = all_that_there_are();
  for (int i = 0; i < 20; ++i) {
    child waiter("waiter", [this](agent& parent) {
      parent.tell("waits");
      const permit one = pool_.acquire();
      ADD_FAILURE() << "it got one";
    });
    waiter.wait_for("waits");
    waiter.kill();
    waiter.expect_killed();
  }
  mine.clear();
  EXPECT_EQ(pool_.count(), 3u);
}

TEST_F(permit_pool_kill_test, a_forked_child_has_none_of_its_parents) {
  permit mine = pool_.acquire();
  child forked("forked", [&](agent&) {
    EXPECT_THROW(mine.release(), std::system_error);
    EXPECT_EQ(all_that_there_are().size(), 2u);
  });
  forked.expect_exit(0);
  EXPECT_EQ(pool_.count(), 2u);
}

// The record of a dead holder is used again by a living thread: the old permit must not count as
// that thread's.
TEST_F(permit_pool_kill_test, a_record_that_is_used_again_does_not_hold_the_dead_ones_permit) {
  for (unsigned i = 0; i < 3 * small_segment().threads; ++i) {
    auto dead = holder(3);
    dead->kill();
    dead->expect_killed();
  }
  auto next = holder(1);
  EXPECT_EQ(pool_.count(), 2u);
  EXPECT_EQ(all_that_there_are().size(), 2u);
}

/// As many seats as permits: who holds a permit sits down on the first that is free, and rises
/// before it gives the permit back. One who holds a permit and finds all seats taken would be one
/// too many. The dead do not rise, and neither kill(pid, 0) nor /proc tells when somebody dies: the
/// kernel frees a permit early in a death, and the process can be seen until it is reaped. So who
/// is to be killed is named before: then its seat is free.
class seats {
 public:
  static constexpr unsigned count = 3;

  /// Returns: whether there was a seat.
  bool sit() {
    for (auto& seat : shared_->taken_by) {
      for (pid_t who = seat.load(); who == 0 || who == shared_->doomed.load();) {
        if (seat.compare_exchange_weak(who, ::getpid())) return true;
      }
    }
    return false;
  }
  /// Of whoever sits, and of the dead. (The seat of the doomed may be another's by now.)
  void rise(pid_t who) {
    for (auto& seat : shared_->taken_by) {
      pid_t expected = who;
      seat.compare_exchange_strong(expected, 0);
    }
  }
  void doom(pid_t who) { shared_->doomed = who; }

 private:
  struct bytes {
    std::array<std::atomic<pid_t>, count> taken_by{};
    std::atomic<pid_t> doomed{-1};
  };
  shared_object<bytes> shared_;
};

TEST_F(permit_pool_kill_test, killed_at_random_none_is_lost_and_none_doubled) {
  shared_counter turns;
  seats there;
  shared_value<std::uint32_t> doubled;
  soak_plan plan = soak_of_a_companion();
  plan.work = [&](const soak_worker& me) {
    while (!me.stopping()) {
      const permit mine = pool_.acquire();
      if (!there.sit()) doubled.add();
      ::sched_yield();  // others run, and the kill comes, while it is held
      there.rise(::getpid());
      turns.add();
    }
  };
  plan.progress = [&] { return turns.load(); };
  plan.standing = [&] { return std::to_string(pool_.count()) + " permits are free"; };
  plan.before_kill = [&](unsigned, pid_t pid) { there.doom(pid); };
  plan.after_kill = [&](unsigned, pid_t pid) { there.rise(pid); };
  const soak_result result = soak(plan);
  EXPECT_EQ(doubled.load(), 0u) << result.describe();
  EXPECT_EQ(pool_.count(), 3u) << result.describe();
  EXPECT_EQ(all_that_there_are().size(), 3u);
}

}  // namespace
}  // namespace outlive::testing
