// Killed after every instruction of a notification, a wait, and of acquiring and releasing a
// permit: nobody waits for ever, no permit is lost or doubled.
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "step/world.hpp"
#include "support/child.hpp"
#include "support/leaks.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

struct signpost {
  bool go = false;
};

class waits_step : public ::testing::Test {
 protected:
  segment seg_ = segment::anonymous(world::small());
  guarded<signpost>& post_ = seg_.find_or_construct<guarded<signpost>>("post", "signpost");
  robust_condition_variable& changed_ =
      seg_.find_or_construct<robust_condition_variable>("changed");
  repair_registration repair_ = on_owner_death<signpost>(seg_, "signpost", always_consistent);
};

class permits_step : public ::testing::Test {
 protected:
  using pool = permit_pool<8>;

  void expect_all_there() {
    EXPECT_EQ(pool_.count(), 2u);
    const permit one = pool_.try_acquire();
    const permit two = pool_.try_acquire();
    EXPECT_TRUE(one && two) << "a permit is lost";
    EXPECT_FALSE(pool_.try_acquire()) << "a permit is doubled";
    EXPECT_TRUE(pool_.try_acquire_many(1).empty());
  }

  segment seg_ = segment::anonymous(world::small());
  pool& pool_ = seg_.find_or_construct<pool>("pool", 2u);
  robust_mutex& mutex_ = seg_.find_or_construct<robust_mutex>("mutex", "plain");
};

}  // namespace

// What the waiter waits for is true already, so whatever became of its wake-up, it goes on by
// itself.
TEST_F(waits_step, killed_at_every_instruction_of_a_notification_with_a_sleeper) {
  OUTLIVE_NEEDS_TRACING();
  std::unique_ptr<child> sleeper;
  sweep_plan plan;
  plan.name = "notify_one with a sleeper";
  plan.setup = [&] {
    post_.lock()->go = false;
    sleeper = std::make_unique<child>("sleeper", [this](agent& parent) {
      auto x = post_.lock();
      parent.tell("has it");
      changed_.wait(x, [&] { return x->go; });
    });
    sleeper->wait_for("has it");
    ASSERT_TRUE(within(default_timeout(),
                       [&] { return task_state(sleeper->pid()) == 'S' && post_.try_lock(); }));
  };
  plan.victim = [&](agent&) {
    post_.lock()->go = true;
    section_begin();
    changed_.notify_one();
    section_end();
  };
  plan.after = [&](const kill_point&) { sleeper->expect_exit(0); };
  const auto result = sweep(plan);
  EXPECT_GT(result.deaths, 10u);
}

TEST_F(waits_step, killed_at_every_instruction_of_a_wait_that_times_out) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "wait_for, nobody notifies";
  plan.setup = [&] { post_.lock()->go = false; };
  plan.victim = [&](agent&) {
    auto x = post_.lock();
    section_begin();
    if (changed_.wait_for(x, 2ms, [&] { return x->go; })) _exit(3);
    section_end();
  };
  plan.after = [&](const kill_point&) {
    // Another waits and is notified, as if the victim had never been.
    child other("other", [this](agent& parent) {
      auto x = post_.lock();
      parent.tell("has it");
      changed_.wait(x, [&] { return x->go; });
    });
    other.wait_for("has it");
    {
      auto x = post_.lock();
      x->go = true;
    }
    changed_.notify_one();
    other.expect_exit(0);
  };
  const auto result = sweep(plan);
  EXPECT_GT(result.deaths, 100u);
}

TEST_F(permits_step, killed_at_every_instruction_of_acquire_and_release) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "acquire, release";
  plan.victim = [&](agent&) {
    static_cast<void>(pool_.acquire());  // its record is claimed
    section_begin();
    permit mine = pool_.acquire();
    mine.release();
    section_end();
  };
  plan.after = [&](const kill_point&) { expect_all_there(); };
  EXPECT_GT(sweep(plan).deaths, 50u);
}

TEST_F(permits_step, killed_at_every_instruction_of_taking_over_from_the_dead) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "acquire from a dead holder, release";
  plan.setup = [&] {
    child dead("dead", [this](agent&) {
      new permit(pool_.acquire());
      new permit(pool_.acquire());
      _exit(0);
    });
    dead.expect_exit(0);
  };
  plan.victim = [&](agent&) {
    mutex_.lock();  // its record is claimed
    mutex_.unlock();
    section_begin();
    permit mine = pool_.acquire();
    mine.release();
    section_end();
  };
  plan.after = [&](const kill_point&) { expect_all_there(); };
  EXPECT_GT(sweep(plan).deaths, 50u);
}

TEST_F(permits_step, killed_at_every_instruction_of_taking_what_was_handed_over) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "hand_over and its end, take, release";
  plan.victim = [&](agent&) {
    permit other = pool_.acquire();  // its record is claimed
    handed_over<permit> handed;
    std::thread([&] { handed = pool_.acquire().hand_over(); }).join();
    section_begin();
    static_cast<void>(other.hand_over());
    permit mine = handed.take();
    mine.release();
    section_end();
  };
  plan.after = [&](const kill_point&) { expect_all_there(); };
  EXPECT_GT(sweep(plan).deaths, 50u);
}

TEST_F(permits_step, killed_at_every_instruction_of_acquiring_several) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "acquire_many(2), release";
  plan.victim = [&](agent&) {
    static_cast<void>(pool_.acquire());  // its record is claimed
    section_begin();
    static_cast<void>(pool_.acquire_many(2));
    section_end();
  };
  plan.after = [&](const kill_point&) {
    EXPECT_EQ(pool_.try_acquire_many(2).size(), 2u) << "a dead thread collects";
    expect_all_there();
  };
  EXPECT_GT(sweep(plan).deaths, 50u);
}

// The pool is empty, and the victim sleeps for one; then it is killed there, too.
TEST_F(permits_step, killed_at_every_instruction_of_an_acquisition_that_times_out) {
  OUTLIVE_NEEDS_TRACING();
  std::vector<permit> mine;
  sweep_plan plan;
  plan.name = "try_acquire_for, none is free";
  plan.setup = [&] {
    while (permit one = pool_.try_acquire()) mine.push_back(std::move(one));
  };
  plan.victim = [&](agent&) {
    mutex_.lock();
    mutex_.unlock();
    section_begin();
    if (pool_.try_acquire_for(2ms)) _exit(3);
    section_end();
  };
  plan.after = [&](const kill_point&) {
    EXPECT_EQ(mine.size(), 2u);
    mine.clear();
    expect_all_there();
  };
  EXPECT_GT(sweep(plan).deaths, 100u);
}
