// OUTLIVE_KILL_POINT: what each action does to a real process, and to whoever waits for what it
// held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <outlive/kill_point.hpp>

#include "scenes/accounts.hpp"
#include "support/death.hpp"
#include "support/namespaces.hpp"

namespace outlive::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A process that goes through the point so often, and exits with 0 if it comes to the end.
exit_status run(const std::string& armed, int visits = 1) {
  child victim("victim", [&](agent&) {
    restore_fatal_signals();
    arm_kill_points(armed);
    for (int i = 0; i < visits; ++i) OUTLIVE_KILL_POINT("here");
  });
  return victim.wait();
}

TEST(kill_point, a_point_that_is_not_armed_does_nothing) {
  EXPECT_TRUE(run("").exited_with(0));
  EXPECT_TRUE(run("there=kill").exited_with(0));
  EXPECT_TRUE(run("here=off").exited_with(0));
}

TEST(kill_point, each_ending_ends_the_process_in_its_own_way) {
  EXPECT_TRUE(run("here=kill").killed_by(SIGKILL));
  EXPECT_TRUE(run("here=segv").killed_by(SIGSEGV));
  EXPECT_TRUE(run("here=abort").killed_by(SIGABRT));
  EXPECT_TRUE(run("here=exit").exited_with(1));
  EXPECT_TRUE(run("here=exit(42)").exited_with(42));
}

TEST(kill_point, the_fourth_visit_is_the_one_that_dies) {
  EXPECT_TRUE(run("here=3*off->1*kill", 3).exited_with(0));
  EXPECT_TRUE(run("here=3*off->1*kill", 4).killed_by(SIGKILL));
}

TEST(kill_point, a_process_that_is_killed_at_a_point_inside_leaves_a_repair_to_its_heir) {
  accounts all;
  const auto repair = all.mended_here();
  child victim("victim", [&](agent&) {
    arm_kill_points("inside=kill");
    all.lock_and_tear();
    OUTLIVE_KILL_POINT("inside");
  });
  victim.expect_killed();
  auto x = all[0].lock();
  EXPECT_TRUE(x.recovered());
  EXPECT_TRUE(x->whole());
  EXPECT_EQ(all.repairs(), 1U);
}

TEST(kill_point, process_1_of_a_pid_namespace_ends_by_a_trap) {
  if (const auto why = pid_namespace_unavailable()) GTEST_SKIP() << *why;
  child outer("outer", [](agent&) {
    restore_fatal_signals();
    ::signal(SIGILL, SIG_IGN);  // as a program might have left it
    ASSERT_EQ(::unshare(CLONE_NEWPID), 0);
    const pid_t first = ::fork();
    if (first == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::alarm(20);
      arm_kill_points("here=kill");
      OUTLIVE_KILL_POINT("here");
      ::_exit(7);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(first, &status, 0), first);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    EXPECT_THAT(WTERMSIG(status), ::testing::AnyOf(SIGILL, SIGTRAP));
  });
  outer.expect_exit();
}

TEST(kill_point, throw_throws_an_error_that_names_the_point) {
  arm_kill_points("here=1*throw");
  try {
    OUTLIVE_KILL_POINT("here");
    FAIL() << "nothing was thrown";
  } catch (const kill_point_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("\"here\""));
  }
  OUTLIVE_KILL_POINT("here");
}

TEST(kill_point, thread_exit_unwinds_the_thread_and_leaves_the_process) {
  arm_kill_points("here=thread-exit");
  bool unwound = false;
  bool went_on = false;
  std::thread([&] {
    struct mark {
      bool& set;
      ~mark() { set = true; }
    } const at_end{unwound};
    OUTLIVE_KILL_POINT("here");
    went_on = true;
  }).join();
  EXPECT_TRUE(unwound);
  EXPECT_FALSE(went_on);
}

TEST(kill_point, pause_stops_the_process_until_it_is_continued) {
  child victim("victim", [&](agent&) {
    arm_kill_points("here=pause");
    OUTLIVE_KILL_POINT("here");
    ::_exit(7);
  });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(victim.pid()), &info, WSTOPPED | WEXITED | WNOWAIT),
            0);
  EXPECT_EQ(info.si_code, CLD_STOPPED);
  EXPECT_EQ(info.si_status, SIGSTOP);
  victim.kill(SIGCONT);
  victim.expect_exit(7);
}

TEST(kill_point, sleep_goes_on_afterwards) {
  EXPECT_TRUE(run("here=sleep(1)", 2).exited_with(0));
}

TEST(kill_point, print_tells_the_name_the_process_and_the_text) {
  arm_kill_points("*=print(a text)");
  ::testing::internal::CaptureStderr();
  OUTLIVE_KILL_POINT("here");
  arm_kill_points("");
  OUTLIVE_KILL_POINT("here");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "outlive: kill point here, process " + std::to_string(::getpid()) + ", thread " +
                std::to_string(::gettid()) + ": a text\n");
}

// How often a percentage applies, in the order of visits.
std::string draws(int visits) {
  std::string all;
  for (int i = 0; i < visits; ++i) {
    try {
      OUTLIVE_KILL_POINT("here");
      all += '.';
    } catch (const kill_point_error&) {
      all += 'x';
    }
  }
  return all;
}

TEST(kill_point, the_same_seed_draws_the_same_and_a_forked_child_draws_other_numbers) {
  ::setenv("OUTLIVE_KILL_SEED", "17", 1);
  arm_kill_points("here=50%throw");
  const std::string first = draws(64);
  arm_kill_points("here=50%throw");
  EXPECT_EQ(draws(64), first);
  EXPECT_THAT(first, AllOf(HasSubstr("x"), HasSubstr(".")));
  arm_kill_points("here=50%throw");
  child other("other", [&](agent&) { EXPECT_NE(draws(64), first); });
  other.expect_exit();
}

TEST(kill_point, a_malformed_text_changes_nothing_of_what_is_armed) {
  arm_kill_points("here=throw");
  EXPECT_THROW(arm_kill_points("here=bang"), std::invalid_argument);
  EXPECT_EQ(draws(1), "x");
}

// ---- the environment, in a process that is started anew ----------------------------------------

// Run by the cases below, in another process.
TEST(kill_point, from_the_environment) {
  const char* const asked = ::getenv("OUTLIVE_TEST_ARMED_BY");
  if (asked == nullptr) return;
  try {
    if (std::string_view(asked) == "a call") arm_kill_points();
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "threw: %s\n", error.what());
  }
  std::fprintf(stderr, "visits:%s\n", draws(16).c_str());
}

struct started {
  exit_status ended;
  std::string told;
};

started start(const char* armed, const char* seed = nullptr, const char* by = "a call") {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  child other("other", [&](agent&) {
    restore_fatal_signals();
    ::dup2(ends[1], STDERR_FILENO);
    ::setenv("OUTLIVE_KILL", armed, 1);
    ::setenv("OUTLIVE_TEST_ARMED_BY", by, 1);
    ::unsetenv("OUTLIVE_KILL_SEED");
    if (seed != nullptr) ::setenv("OUTLIVE_KILL_SEED", seed, 1);
    ::execl("/proc/self/exe", "kill_point_kill_test",
            "--gtest_filter=kill_point.from_the_environment", nullptr);
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

TEST(kill_point, the_environment_arms_a_program_that_asks_for_it) {
  EXPECT_TRUE(start("here=3*off->kill").ended.killed_by(SIGKILL));
  const started other = start("here=3*off->exit(9)");
  EXPECT_TRUE(other.ended.exited_with(9));
  EXPECT_EQ(other.told, "");
}

TEST(kill_point, the_environment_has_no_effect_on_a_program_that_does_not_ask) {
  for (const char* const armed : {"here=kill", "here=bang", "here=50%throw"}) {
    const started found = start(armed, nullptr, "nobody");
    EXPECT_TRUE(found.ended.exited_with(0)) << found.ended.describe();
    EXPECT_THAT(found.told,
                AllOf(HasSubstr("visits:................"), Not(HasSubstr("OUTLIVE_KILL"))));
  }
}

TEST(kill_point, a_malformed_environment_is_thrown_and_arms_nothing) {
  const started found = start("here=kill;there=bang");
  EXPECT_TRUE(found.ended.exited_with(0)) << found.ended.describe();
  EXPECT_THAT(found.told, AllOf(HasSubstr("threw: OUTLIVE_KILL: \"here=kill;there=bang\", column "
                                          "17: found \"bang\", expected one of off"),
                                HasSubstr("visits:................")));
}

TEST(kill_point, no_variable_leaves_what_is_armed) {
  ::unsetenv("OUTLIVE_KILL");
  arm_kill_points("here=throw");
  arm_kill_points();
  EXPECT_EQ(draws(1), "x");
}

TEST(kill_point, a_seed_that_is_not_given_is_said_and_can_be_given) {
  const started first = start("here=50%throw");
  const std::size_t at = first.told.find("OUTLIVE_KILL_SEED=");
  ASSERT_NE(at, std::string::npos) << first.told;
  const std::string seed = first.told.substr(at + 18, first.told.find(' ', at) - at - 18);
  const auto visits = [](const started& of) { return of.told.substr(of.told.find("visits:")); };
  EXPECT_EQ(visits(start("here=50%throw", seed.c_str())), visits(first));
  const started refused = start("here=50%throw", "seventeen");
  EXPECT_THAT(refused.told, AllOf(HasSubstr("OUTLIVE_KILL_SEED: found \"seventeen\""),
                                  HasSubstr("visits:................")));
}

}  // namespace
}  // namespace outlive::testing
