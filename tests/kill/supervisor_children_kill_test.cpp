// A prefork server's workers: children that may die before they have touched the segment.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <system_error>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"

namespace outlive::testing {
namespace {

class supervisor_children_kill_test : public ::testing::Test {
 protected:
  static supervisor_options reaping() {
    supervisor_options options = without_sweeps();
    options.reap_children = true;
    return options;
  }
  /// Whether the pid is still a child of this process, a zombie or not.
  static bool is_child(pid_t pid) {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  }
  static void expect_refused(watching& watch, pid_t pid, std::errc code) {
    try {
      watch->add_child(pid);
      ADD_FAILURE() << pid << " was added";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), code) << pid << ": " << error.what();
    }
  }

  accounts all_{1};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(supervisor_children_kill_test,
       a_worker_that_dies_before_its_first_lock_is_reported_and_reaped) {
  watching watch(all_.seg(), reaping());
  const pid_t worker = fork();
  if (worker == 0) {
    pause();
    _exit(1);
  }
  watch->add_child(worker);
  EXPECT_EQ(watch->watched(), 1u);
  ASSERT_EQ(kill(worker, SIGKILL), 0);
  ASSERT_TRUE(watch.until_dead(worker));
  const participant_death& death = *watch.find(worker);
  EXPECT_EQ(death.signal, SIGKILL);
  EXPECT_NE(death.start_time, 0u);
  EXPECT_NE(death.command_name, "unknown");
  EXPECT_TRUE(death.recovered.empty());
  EXPECT_FALSE(is_child(worker)) << "it is a zombie";
  EXPECT_EQ(watch.deaths.size(), 1u);
  EXPECT_TRUE(watch.errors.empty()) << watch.errors[0];
  EXPECT_EQ(watch->watched(), 0u);
}

TEST_F(supervisor_children_kill_test, one_that_has_ended_already_is_reported_at_once) {
  watching watch(all_.seg());
  const pid_t worker = fork();
  if (worker == 0) _exit(7);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(worker), &info, WEXITED | WNOWAIT), 0);
  watch->add_child(worker);
  ASSERT_TRUE(watch.until_dead(worker));
  EXPECT_EQ(watch.find(worker)->exit_code, 7);
  EXPECT_TRUE(is_child(worker)) << "the program did not ask for it to be reaped";
  int status = 0;
  EXPECT_EQ(waitpid(worker, &status, 0), worker);
}

TEST_F(supervisor_children_kill_test, one_that_attaches_and_dies_inside_a_lock_is_reported_once) {
  watching watch(all_.seg());
  child worker("worker", all_.holder());
  watch->add_child(worker.pid());
  worker.wait_for("inside");
  watch->dispatch();
  worker.kill();
  ASSERT_TRUE(watch.until_dead(worker.pid()));
  EXPECT_EQ(watch.find(worker.pid())->recovered.size(), 1u);
  watch->dispatch();
  watch->dispatch();
  EXPECT_EQ(watch.deaths.size(), 1u);
  worker.expect_killed();
  expect_usable(all_);
}

TEST_F(supervisor_children_kill_test, a_child_that_attaches_is_known_before_its_first_lock) {
  watching watch(all_.seg());
  child worker("worker", [this](agent& parent) {
    all_.seg().attach();
    all_.seg().attach();
    parent.tell("attached");
    parent.pause_forever();
  });
  worker.wait_for("attached");
  ASSERT_TRUE(watch.until([&] { return watch->watched() == 1; }));
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << "no thread record is used";
  worker.kill();
  EXPECT_TRUE(watch.until_dead(worker.pid()));
  worker.expect_killed();
}

// Between the release of its mutexes and its end the kernel frees its memory.
TEST_F(supervisor_children_kill_test, one_that_is_just_ending_when_a_sweep_comes_is_reported_once) {
  supervisor_options options = sweeping_often();
  options.sweep = milliseconds(1);
  options.reap_children = true;
  watching watch(all_.seg(), options);
  constexpr std::size_t workers = 40;
  std::size_t twice = 0;
  for (std::size_t i = 0; i < workers; ++i) {
    const pid_t worker = fork();
    if (worker == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const std::vector<char> memory(std::size_t{16} << 20, 'x');
      all_.lock_and_tear();
      raise(SIGKILL);
    }
    watch->add_child(worker);
    ASSERT_TRUE(watch.until_dead(worker));
    if (watch.deaths.size() == 1) {
      EXPECT_EQ(watch.deaths[0].recovered.size(), 1u);
    } else {
      ++twice;
    }
    EXPECT_FALSE(is_child(worker)) << "it is a zombie";
    watch.deaths.clear();
  }
  EXPECT_EQ(all_.repairs(), workers);
  EXPECT_LT(twice, workers / 8)
      << "the end of a process may last, on a busy machine, but not often";
}

// In a process of its own, because it changes a limit.
TEST_F(supervisor_children_kill_test, one_without_a_descriptor_is_reaped_by_a_sweep) {
  child overseer("overseer", [&](agent&) {
    supervisor_options options = sweeping_often();
    options.reap_children = true;
    watching watch(all_.seg(), options);
    constexpr int most = 64;
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = most;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    pid_t workers[3];
    for (pid_t& worker : workers) {
      worker = fork();
      if (worker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
      }
    }
    while (dup(STDERR_FILENO) < most - most / 4) {  // what is left is the program's
    }
    watch->add_child(workers[0]);
    ASSERT_EQ(kill(workers[0], SIGKILL), 0);
    ASSERT_TRUE(watch.until_dead(workers[0]));
    EXPECT_EQ(watch.find(workers[0])->signal, SIGKILL);
    EXPECT_FALSE(is_child(workers[0])) << "it is a zombie";

    watch->add_child(workers[1]);
    while (dup(STDERR_FILENO) != -1) {  // and now nothing is left
    }
    expect_refused(watch, workers[2], std::errc::too_many_files_open);
    ASSERT_EQ(kill(workers[2], SIGKILL), 0);
    EXPECT_EQ(waitpid(workers[2], nullptr, 0), workers[2]) << "it stays the program's";
    ASSERT_EQ(kill(workers[1], SIGKILL), 0);
    ASSERT_TRUE(watch.until_dead(workers[1]));
    EXPECT_EQ(watch.find(workers[1])->signal, SIGKILL);
    EXPECT_FALSE(is_child(workers[1])) << "it is a zombie";
  });
  overseer.expect_exit();
}

TEST_F(supervisor_children_kill_test, what_is_no_child_is_refused) {
  watching watch(all_.seg());
  const pid_t reaped = fork();
  if (reaped == 0) _exit(0);
  ASSERT_EQ(waitpid(reaped, nullptr, 0), reaped);
  for (const pid_t pid : {reaped, getppid(), getpid(), pid_t{0}, pid_t{-1}}) {
    expect_refused(watch, pid, std::errc::no_child_process);
  }
  EXPECT_EQ(watch->watched(), 0u);
}

}  // namespace
}  // namespace outlive::testing
