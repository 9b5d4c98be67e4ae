// Owners that hang because something outside keeps them: what a supervisor says of their state, and
// what becomes of them when it kills.
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <memory>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"
#include "scenes/watching.hpp"
#include "support/freezer.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

std::unique_ptr<freezer> freezer_of(freezer::version version, std::string& why_not) {
  try {
    return std::make_unique<freezer>(version);
  } catch (const freezer::unavailable& reason) {
    why_not = reason.what();
    return nullptr;
  }
}

bool dumps_core(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line == "CoreDumping:\t1") return true;
  }
  return false;
}

class supervisor_states_kill_test : public ::testing::Test {
 protected:
  /// A supervisor, when it has told of the one owner that hangs.
  struct watched_owner {
    explicit watched_owner(accounts& all, milliseconds patience = default_timeout())
        : watch(all.seg(), with_patience(patience)) {
      watch->on_hung(milliseconds(20), [this](const hung_owner& owner) { hung.push_back(owner); });
      EXPECT_TRUE(watch.until([&] { return !hung.empty(); }));
    }
    static supervisor_options with_patience(milliseconds patience) {
      supervisor_options options = sweeping_often();
      options.kill_patience = patience;
      return options;
    }
    watching watch;
    std::vector<hung_owner> hung;
  };

  void expect_condition(thread_condition expected) {
    watched_owner seen(all_);
    ASSERT_EQ(seen.hung.size(), 1u);
    EXPECT_EQ(seen.hung[0].condition, expected) << to_string(seen.hung[0].condition);
  }
  /// Kills the owner, which has to be possible, and it is free of it.
  void expect_killable(child& owner, thread_condition expected) {
    watched_owner seen(all_);
    ASSERT_EQ(seen.hung.size(), 1u);
    EXPECT_EQ(seen.hung[0].condition, expected) << to_string(seen.hung[0].condition);
    const auto death = seen.watch->kill_and_recover(seen.hung[0]);
    ASSERT_TRUE(death);
    EXPECT_EQ(death->signal, SIGKILL);
    EXPECT_EQ(death->recovered.size(), 1u);
    owner.expect_killed();
    expect_usable(all_);
  }
  /// Kills it in vain, has it let go by `release`, and is then told of the death.
  template <class Release>
  void expect_killed_late(child& owner, thread_condition expected, Release release) {
    watched_owner seen(all_, milliseconds(50));
    ASSERT_EQ(seen.hung.size(), 1u);
    EXPECT_EQ(seen.hung[0].condition, expected) << to_string(seen.hung[0].condition);
    const auto error = thrown::by([&] { seen.watch->kill_and_recover(seen.hung[0]); });
    EXPECT_EQ(error.code, std::errc::timed_out);
    EXPECT_NE(error.messages.find("participant pid " + std::to_string(owner.pid()) +
                                  ": found it alive 50 ms after SIGKILL"),
              std::string::npos)
        << error.messages;
    EXPECT_FALSE(all_.mutex().try_lock()) << "what the living hold was recovered";
    release();
    ASSERT_TRUE(seen.watch.until_dead(owner.pid()));
    EXPECT_EQ(seen.watch.find(owner.pid())->signal, SIGKILL);
    // A sweep may come while it is ending, and tell of its thread first, with what that held.
    std::size_t recovered = 0;
    for (const participant_death& each : seen.watch.deaths)
      recovered += each.pid == owner.pid() ? each.recovered.size() : 0;
    EXPECT_EQ(recovered, 1u);
    owner.expect_killed();
    expect_usable(all_);
  }

  accounts all_{2};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(supervisor_states_kill_test, sleeping) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(owner.pid()) == 'S'; }));
  expect_killable(owner, thread_condition::sleeping);
}

TEST_F(supervisor_states_kill_test, a_patience_without_an_end_waits_for_the_end_of_the_killed) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  watched_owner seen(all_, milliseconds::max());
  ASSERT_EQ(seen.hung.size(), 1u);
  ASSERT_TRUE(seen.watch->kill_and_recover(seen.hung[0]));
  owner.expect_killed();
  expect_usable(all_);
}

TEST_F(supervisor_states_kill_test, a_threshold_without_an_end_is_never_reached) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  std::vector<hung_owner> hung;
  watching never(all_.seg(), sweeping_often());
  never->on_hung(milliseconds::max(), [&](const hung_owner& each) { hung.push_back(each); });
  const watched_owner seen(all_);
  never->dispatch();  // with sweeps due: the other supervisor has told meanwhile
  EXPECT_TRUE(hung.empty());
}

TEST_F(supervisor_states_kill_test, running) {
  child owner("owner", [&](agent& parent) {
    all_.lock_and_tear();
    parent.tell("inside");
    for (;;) std::atomic_signal_fence(std::memory_order_seq_cst);
  });
  owner.wait_for("inside");
  expect_killable(owner, thread_condition::running);
}

TEST_F(supervisor_states_kill_test, traced) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  ASSERT_EQ(ptrace(PTRACE_SEIZE, owner.pid(), nullptr, nullptr), 0) << errno;
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, owner.pid(), nullptr, nullptr), 0) << errno;
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(owner.pid()) == 't'; }));
  expect_killable(owner, thread_condition::traced);
}

/// A debugger may keep a process from its end even after SIGKILL.
TEST_F(supervisor_states_kill_test, held_at_its_end_by_a_tracer_is_killed_late) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(owner.pid()) == 'S'; }));
  ASSERT_EQ(ptrace(PTRACE_SEIZE, owner.pid(), nullptr, PTRACE_O_TRACEEXIT), 0) << errno;
  expect_killed_late(owner, thread_condition::sleeping, [&] {
    int status = 0;
    ASSERT_EQ(waitpid(owner.pid(), &status, WNOHANG), owner.pid())
        << "not held at its end: the kernel lets killed processes pass";
    ASSERT_EQ(ptrace(PTRACE_DETACH, owner.pid(), nullptr, nullptr), 0) << errno;
  });
}

/// The one wait in D that can be had at will: that of a parent until its child, made by vfork, has
/// ended or called exec. SIGKILL ends this one.
TEST_F(supervisor_states_kill_test, uninterruptible) {
  child owner("owner", [&](agent& parent) {
    all_.lock_and_tear();
    if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    parent.tell("waited for");
    parent.pause_forever();
  });
  owner.wait_for("waited for");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(owner.pid()) == 'D'; }))
      << task_state(owner.pid());
  expect_killable(owner, thread_condition::waiting_for_device);
}

TEST_F(supervisor_states_kill_test, frozen_by_the_second_version_of_cgroups_is_killed) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  std::string why_not;
  const auto cold = freezer_of(freezer::version::two, why_not);
  if (!cold) GTEST_SKIP() << why_not;
  cold->add_process(owner.pid());
  cold->freeze();
  expect_killable(owner, thread_condition::frozen);
}

TEST_F(supervisor_states_kill_test,
       frozen_by_the_first_version_of_cgroups_is_killed_when_it_is_thawed) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  std::string why_not;
  const auto cold = freezer_of(freezer::version::one, why_not);
  if (!cold) GTEST_SKIP() << why_not;
  cold->add_process(owner.pid());
  cold->freeze();
  expect_killed_late(owner, thread_condition::frozen, [&] { cold->thaw(); });
}

/// A dump begins when all threads of the process have stopped: one that is frozen keeps it from
/// that, so that the test need not be quick. Nothing is written, for children of tests have no room
/// for a core.
TEST_F(supervisor_states_kill_test, dumping_core) {
  shared_value<pid_t> bystander;
  child owner("owner", [&](agent& parent) {
    ::signal(SIGQUIT, SIG_DFL);  // a shell ignores it for what it runs in the background
    std::thread second([&] {
      bystander.store(gettid());
      parent.pause_forever();
    });
    all_.lock_and_tear();
    parent.tell("inside");
    parent.pause_forever();
  });
  owner.wait_for("inside");
  ASSERT_TRUE(bystander.wait([](pid_t tid) { return tid != 0; }));
  std::string why_not;
  const auto cold = freezer_of(freezer::version::one, why_not);
  if (!cold) GTEST_SKIP() << why_not;
  cold->add_thread(bystander.load());
  cold->freeze();
  owner.kill(SIGQUIT);
  ASSERT_TRUE(within(default_timeout(), [&] { return dumps_core(owner.pid()); }));
  expect_condition(thread_condition::dumping_core);
  cold->thaw();
  owner.expect_killed(SIGQUIT);
  expect_survivor(all_, 0, true);
}

}  // namespace
}  // namespace outlive::testing
