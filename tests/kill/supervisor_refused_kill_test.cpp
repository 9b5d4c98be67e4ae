// A supervisor that the system refuses something: it says so, goes on without it, and misses
// nobody.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <stop_token>
#include <vector>

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

TEST_F(supervisor_refused_kill_test, an_error_ends_nothing_where_nobody_asked_to_be_told) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  child overseer("overseer", [&](agent& parent) {
    forbid_call(SYS_inotify_init1, EMFILE);
    forbid_call(SYS_pidfd_open, EPERM);
    supervisor watch(all_.seg(), sweeping_often());
    std::stop_source stop;
    unsigned deaths = 0;
    watch.on_death([&](const participant_death&) { ++deaths, stop.request_stop(); });
    watch.dispatch();
    parent.tell("watching");
    watch.run(stop.get_token());
    EXPECT_EQ(deaths, 1u);
  });
  overseer.wait_for("watching");
  owner.kill();
  owner.expect_killed();
  overseer.expect_exit(0);
}

/// More workers than descriptors: what the program keeps, and what is done for those without one.
class few_descriptors : public ::testing::Test {
 protected:
  static constexpr rlim_t limit = 48;
  static constexpr unsigned workers = 60;
  static segment_options for_many() {
    segment_options options = small_segment();
    options.participants = workers + 8;
    return options;
  }
  /// How many files the program can still open.
  static unsigned openable() {
    std::vector<int> files;
    for (int file = 0; (file = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) != -1;)
      files.push_back(file);
    for (const int file : files) ::close(file);
    return static_cast<unsigned>(files.size());
  }
  static void set_limit(rlim_t most) {
    rlimit now{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = most;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &now), 0);
  }
  /// Starts a worker that attaches; the last of them has the account.
  pid_t start_worker(shared_counter& ready, bool holds) noexcept {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (holds) {
      all_.lock_and_tear();
    } else {
      all_.seg().attach();
    }
    ready.add();
    for (;;) ::pause();
  }

  accounts all_{1, for_many()};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(few_descriptors, a_quarter_of_them_stays_the_programs_and_sweeps_see_the_rest) {
  child overseer("overseer", [&](agent&) {
    shared_counter ready;
    std::vector<pid_t> pids;
    for (unsigned i = 0; i < workers; ++i) pids.push_back(start_worker(ready, i + 1 == workers));
    ASSERT_TRUE(ready.wait_at_least(workers));
    set_limit(limit);
    supervisor_options options = sweeping_often();
    options.reap_children = true;
    watching watch(all_.seg(), options);
    EXPECT_EQ(watch->watched(), workers + 1) << "and the test's own process";
    EXPECT_EQ(openable(), limit / 4);
    ASSERT_EQ(watch.errors.size(), 1u);
    EXPECT_NE(watch.errors[0].find("RLIMIT_NOFILE"), std::string::npos) << watch.errors[0];
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids) {
      ASSERT_TRUE(watch.until_dead(pid));
      EXPECT_EQ(watch.find(pid)->signal, SIGKILL) << "its status was not read";
      EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1) << "it is a zombie";
    }
    // With its process, or before it with its thread, where a sweep came in between.
    std::size_t recovered = 0;
    for (const participant_death& each : watch.deaths)
      recovered += each.pid == pids.back() ? each.recovered.size() : 0;
    EXPECT_EQ(recovered, 1u);
    EXPECT_EQ(watch.errors.size(), 1u) << watch.errors.back();
    EXPECT_GT(openable(), limit / 2) << "descriptors of the dead";
  });
  overseer.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(few_descriptors, a_hung_owner_without_one_is_killed_all_the_same) {
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  child overseer("overseer", [&](agent&) {
    std::vector<int> own;
    set_limit(limit);
    while (own.empty() || own.back() < static_cast<int>(limit - limit / 4)) {
      own.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      ASSERT_NE(own.back(), -1);
    }
    watching watch(all_.seg(), sweeping_often());
    ASSERT_EQ(watch.errors.size(), 1u);
    std::optional<participant_death> death;
    watch->on_hung(milliseconds(1), [&](const hung_owner& hung) {
      if (!death) death = watch->kill_and_recover(hung);
    });
    ASSERT_TRUE(watch.until([&] { return death.has_value(); }));
    EXPECT_EQ(death->pid, owner.pid());
    EXPECT_EQ(death->recovered.size(), 1u);
  });
  overseer.expect_exit(0);
  owner.expect_killed();
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

}  // namespace
}  // namespace outlive::testing
