// A supervisor that the system refuses something: it says so, goes on without it, and misses
// nobody.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"
#include "support/forbidden_call.hpp"

namespace outlive::testing {
namespace {

class supervisor_refused_kill_test : public ::testing::Test {
 protected:
  accounts all_{8};
  repair_registration repair_ = all_.mended_here();
};

/// As when the user has no inotify instance left.
TEST_F(supervisor_refused_kill_test, without_news_of_the_file_the_sweep_finds_who_attaches_later) {
  child overseer("overseer", [&](agent& parent) {
    forbid_call(SYS_inotify_init1, EMFILE);
    watching watch(all_.seg(), sweeping_often());
    ASSERT_EQ(watch.errors.size(), 1u);
    EXPECT_NE(watch.errors[0].find("expected inotify"), std::string::npos) << watch.errors[0];
    ASSERT_EQ(watch->watched(), 1u) << "the test's own process";
    parent.tell("watching");
    ASSERT_TRUE(watch.until([&] { return watch->watched() == 2; }));
    parent.tell("found");
    ASSERT_TRUE(watch.until([&] { return !watch.deaths.empty(); }));
    EXPECT_EQ(watch.deaths[0].recovered.size(), 1u);
    EXPECT_EQ(watch.errors.size(), 1u);
  });
  overseer.wait_for("watching");
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  overseer.wait_for("found");
  owner.kill();
  owner.expect_killed();
  overseer.expect_exit(0);
  expect_usable(all_);
}

TEST_F(supervisor_refused_kill_test, without_descriptors_of_processes_the_sweep_finds_the_dead) {
  child reaped("reaped", all_.holder(0));
  child zombie("zombie", all_.holder(1));
  reaped.wait_for("inside");
  zombie.wait_for("inside");
  child overseer("overseer", [&](agent& parent) {
    forbid_call(SYS_pidfd_open, EPERM);
    watching watch(all_.seg(), sweeping_often());
    EXPECT_EQ(watch->watched(), 2u + 1u) << "the test's own process, and the two that hold";
    EXPECT_EQ(watch.errors.size(), 3u) << "once for each process";
    parent.tell("watching");
    EXPECT_TRUE(watch.until_dead(zombie.pid()));
    EXPECT_TRUE(watch.until_dead(reaped.pid()));
    // A sweep may come while one of them is ending, and tell of its thread first.
    EXPECT_EQ(std::count_if(watch.deaths.begin(), watch.deaths.end(),
                            [](const auto& each) { return each.tid == 0; }),
              2);
    EXPECT_EQ(watch.errors.size(), 3u);
    EXPECT_NE(watch.errors.at(0).find("participant pid"), std::string::npos) << watch.errors[0];
  });
  overseer.wait_for("watching");
  reaped.kill();
  zombie.kill();
  reaped.expect_killed();
  overseer.expect_exit(0);
  zombie.expect_killed();
  expect_usable(all_, 0);
  expect_usable(all_, 1);
}

TEST_F(supervisor_refused_kill_test, a_recovery_that_cannot_begin_is_told_once_and_tried_again) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  child overseer("overseer", [&](agent& parent) {
    void* list = nullptr;
    std::size_t length = 0;
    ASSERT_EQ(syscall(SYS_get_robust_list, 0, &list, &length), 0);
    watching watch(all_.seg(), sweeping_often());
    // then this thread may have no record
    ASSERT_EQ(syscall(SYS_set_robust_list, nullptr, length), 0);
    parent.tell("watching");
    EXPECT_TRUE(watch.until([&] { return !watch.errors.empty(); }));
    int looks = 0;
    watch.until([&] { return ++looks > 10; });
    EXPECT_EQ(watch.errors.size(), 1u) << watch.errors.back();
    EXPECT_NE(watch.errors.at(0).find("robust list"), std::string::npos) << watch.errors[0];
    ASSERT_EQ(syscall(SYS_set_robust_list, list, length), 0);
    EXPECT_TRUE(watch.until_dead(owner.pid()));
    EXPECT_EQ(watch.deaths.at(0).recovered.size(), 1u);
  });
  overseer.wait_for("watching");
  owner.kill();
  owner.expect_killed();
  overseer.expect_exit(0);
  expect_usable(all_);
}

TEST_F(supervisor_refused_kill_test, errors_come_out_of_dispatch_where_nobody_asked_to_be_told) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  child overseer("overseer", [&](agent& parent) {
    forbid_call(SYS_pidfd_open, EPERM);
    supervisor watch(all_.seg(), sweeping_often());
    unsigned deaths = 0;
    watch.on_death([&](const participant_death&) { ++deaths; });
    unsigned errors = 0;
    parent.tell("watching");
    const deadline end(default_timeout());
    while (deaths == 0 && !end.passed()) {
      try {
        watch.dispatch();
      } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EPERM);
        if (++errors == 2) parent.tell("twice");
      }
    }
    EXPECT_EQ(deaths, 1u);
    EXPECT_EQ(errors, 2u);
  });
  overseer.wait_for("twice");
  owner.kill();
  owner.expect_killed();
  overseer.expect_exit(0);
}

}  // namespace
}  // namespace outlive::testing
