#include "support/namespaces.hpp"

#include <fcntl.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "support/death.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class pid_namespace_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = pid_namespace_unavailable()) GTEST_SKIP() << *why;
  }
};

TEST_F(pid_namespace_test, the_body_has_another_namespace_and_a_small_pid) {
  child outer("outer", [](agent& parent) {
    run_in_pid_namespace(parent, [&] {
      EXPECT_LT(getpid(), 10);
      EXPECT_EQ(gettid(), getpid());
      parent.tell("inside");
    });
  });
  outer.wait_for("inside");
  outer.expect_exit(0);
}

TEST_F(pid_namespace_test, the_body_s_death_is_handed_out) {
  for (const death kind : {death::sigkill, death::abort}) {
    child outer("outer",
                [kind](agent& parent) { run_in_pid_namespace(parent, [kind] { die(kind); }); });
    expect_end(outer, kind);
  }
  child leaver("leaver", [](agent& parent) { run_in_pid_namespace(parent, [] { _exit(7); }); });
  leaver.expect_exit(7);
}

TEST_F(pid_namespace_test, failures_inside_reach_the_test) {
  child outer("outer", [](agent& parent) {
    run_in_pid_namespace(parent, [] { throw std::runtime_error("lost in the namespace"); });
  });
  EXPECT_NONFATAL_FAILURE(outer.wait(), "lost in the namespace");
}

TEST_F(pid_namespace_test, all_of_it_dies_with_the_child) {
  // Its end is seen by the end of a pipe whose only writers are inside.
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const unique_fd read_end(ends[0]);
  unique_fd write_end(ends[1]);
  pollfd end{read_end.get(), POLLIN, 0};
  {
    child outer("outer", [&](agent& parent) {
      run_in_pid_namespace(parent, [&] {
        parent.tell("inside");
        parent.pause_forever();
      });
    });
    write_end.reset();
    outer.wait_for("inside");
    EXPECT_EQ(poll(&end, 1, 0), 0);
  }
  EXPECT_EQ(poll(&end, 1, static_cast<int>(default_timeout().count())), 1);
  EXPECT_NE(end.revents & POLLHUP, 0);
}

class hidepid_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = hidepid_unavailable()) GTEST_SKIP() << *why;
  }
};

TEST_F(hidepid_test, other_processes_vanish_but_can_still_be_asked_for) {
  const pid_t test = getpid();
  ASSERT_FALSE(is_dead(test));
  child hidden("hidden", [test](agent& parent) {
    EXPECT_NE(task_state(test), '\0');
    hide_processes_of_others(65534);
    EXPECT_EQ(task_state(test), '\0');
    EXPECT_NE(task_state(getpid()), '\0');
    EXPECT_EQ(kill(test, 0), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(getuid(), 65534u);
    parent.tell("looked");
    parent.pause_forever();
  });
  hidden.wait_for("looked");
  hidden.kill();
  hidden.expect_killed();
  EXPECT_EQ(task_state(test), 'R') << "the test's own /proc is untouched";
}

}  // namespace
}  // namespace outlive::testing
