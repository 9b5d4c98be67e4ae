// A process that cannot see the others in /proc (hidepid) must not take a living owner for dead,
// and still finds a dead one.
#include <gtest/gtest.h>
#include <unistd.h>

#include "scenes/accounts.hpp"
#include "support/leaks.hpp"
#include "support/namespaces.hpp"
#include "support/orphans.hpp"
#include "sys/process.hpp"

namespace outlive::testing {
namespace {

constexpr uid_t nobody = 65534;

class visibility_process_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = hidepid_unavailable()) GTEST_SKIP() << *why;
  }

  accounts all_;
  repair_registration repair_ = all_.mended_here();
};

TEST_F(visibility_process_test, a_living_owner_of_another_user_is_not_judged_dead) {
  child owner("owner", [&](agent& parent) {
    all_.mutex().lock();
    parent.tell("inside");
    parent.await("leave");
    all_.value().a += 1;
    all_.value().b -= 1;
    all_.mutex().unlock();
  });
  owner.wait_for("inside");
  child blind("blind", [&](agent& parent) {
    hide_processes_of_others(nobody);
    EXPECT_EQ(task_state(owner.pid()), 0) << "the owner was to be hidden";
    // longer than two slices
    EXPECT_FALSE(all_.mutex().try_lock_for(milliseconds(600))) << "let in beside a living owner";
    EXPECT_TRUE(recover(all_.seg()).empty());
    EXPECT_TRUE(recover(all_.seg(), owner.pid()).empty());
    parent.tell("refused");
    auto x = all_[0].lock();
    EXPECT_FALSE(x.recovered());
    EXPECT_EQ(x->a, 501);
  });
  blind.wait_for("refused");
  owner.tell("leave");
  owner.expect_exit(0);
  blind.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 0u);
}

TEST_F(visibility_process_test, a_hidden_thread_is_not_judged_dead_either) {
  child owner("owner",
              [&](agent& parent) {
                all_.mutex().lock();
                parent.tell("inside");
                parent.await("leave");
                all_.mutex().unlock();
              },
              {.second_thread = true});
  owner.wait_for("inside");
  child blind("blind", [&](agent&) {
    hide_processes_of_others(nobody);
    EXPECT_FALSE(all_.mutex().try_lock_for(milliseconds(600)));
  });
  blind.expect_exit(0);
  owner.tell("leave");
  owner.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 0u);
}

TEST_F(visibility_process_test, an_orphan_of_another_user_is_adopted) {
  // Its owner is gone, which the kernel says without /proc.
  child owner("owner", [&](agent&) {
    die_leaving_orphans(orphan_kind::list_unset, {.acquire = [&] { all_.lock_and_tear(); }});
  });
  expect_orphaned(owner, orphan_kind::list_unset);
  child blind("blind", [&](agent& parent) {
    hide_processes_of_others(nobody);
    auto x = all_[0].lock();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(x->whole());
    parent.tell("inside");
  });
  blind.wait_for("inside");
  blind.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
}

// The numbers in such a /proc are those of other processes.
TEST(foreign_proc, of_an_outer_pid_namespace_does_not_make_the_living_dead) {
  if (const auto why = pid_namespace_unavailable()) GTEST_SKIP() << *why;
  child process("process", [](agent& parent) {
    run_in_pid_namespace(parent, [] {
      // Process 1 of the namespace lives; /proc/1 is another, that started at another time.
      EXPECT_EQ(detail::start_time_of(1), 0U);
      EXPECT_FALSE(detail::is_thread_dead(1, 1, 1));
      EXPECT_TRUE(detail::is_thread_dead(1, getpid(), 1))
          << "what the kernel says without /proc counts";
    });
  });
  process.expect_exit(0);
}

}  // namespace
}  // namespace outlive::testing
