// OUTLIVE_KILL in a program that is compiled with -DOUTLIVE_ARM_KILL_POINTS, and calls nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include <outlive/kill_point.hpp>

#include "support/death.hpp"

namespace outlive::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Run by the case below, in other processes.
TEST(kill_point_build, from_the_environment) {
  OUTLIVE_KILL_POINT("here");
}

struct started {
  exit_status ended;
  std::string told;
};

started start(const char* armed) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  child other("other", [&](agent&) {
    restore_fatal_signals();
    ::dup2(ends[1], STDERR_FILENO);
    ::setenv("OUTLIVE_KILL", armed, 1);
    ::execl("/proc/self/exe", "kill_point_build_kill_test",
            "--gtest_filter=kill_point_build.from_the_environment", nullptr);
    ::_exit(127);
  });
  ::close(ends[1]);
  started made{other.wait(), {}};
  char text[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], text, sizeof text)) > 0;)
    made.told.append(text, static_cast<std::size_t>(got));
  ::close(ends[0]);
  return made;
}

TEST(kill_point_build, the_environment_arms_it_while_it_is_loaded) {
  EXPECT_TRUE(start("here=kill").ended.killed_by(SIGKILL));
  EXPECT_TRUE(start("there=kill").ended.exited_with(0));
}

TEST(kill_point_build, a_malformed_environment_is_told_and_arms_nothing) {
  const started found = start("here=kill;there=bang");
  EXPECT_TRUE(found.ended.exited_with(0)) << found.ended.describe();
  EXPECT_THAT(found.told,
              AllOf(HasSubstr("outlive: OUTLIVE_KILL: \"here=kill;there=bang\", column 17"),
                    HasSubstr("no kill point is armed")));
}

}  // namespace
}  // namespace outlive::testing
