// What is special about process 1 of a container: no process inside can kill it, and it becomes the
// parent of processes whose own parents have ended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <optional>
#include <system_error>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"
#include "support/leaks.hpp"
#include "support/namespaces.hpp"

namespace outlive::testing {
namespace {

class container_kill_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = pid_namespace_unavailable()) GTEST_SKIP() << *why;
  }
  /// Runs the body as process 1 of a container. What fails inside fails here.
  static void in_container(const std::function<void()>& body) {
    child container("container", [&](agent& parent) { run_as_process_1(parent, body); });
    container.expect_exit(0);
  }
};

/// Starts a process that holds the mutex, with its account torn, and whose parent has ended:
/// process 1 is its parent now. Returns: its pid.
pid_t start_orphan(const accounts& all) {
  int ends[2];
  if (pipe(ends) != 0) return ADD_FAILURE() << "pipe", -1;
  const pid_t between = fork();
  if (between == 0) {
    if (fork() != 0) _exit(0);
    while (getppid() != 1) usleep(100);
    all.lock_and_tear();
    const pid_t self = getpid();
    if (write(ends[1], &self, sizeof self) != sizeof self) _exit(1);
    for (;;) pause();
  }
  EXPECT_EQ(waitpid(between, nullptr, 0), between);
  pid_t orphan = -1;
  EXPECT_EQ(read(ends[0], &orphan, sizeof orphan), static_cast<ssize_t>(sizeof orphan));
  close(ends[0]);
  close(ends[1]);
  return orphan;
}

TEST_F(container_kill_test, process_1_that_hangs_is_reported_and_its_kill_is_refused) {
  in_container([] {
    const accounts all;
    ASSERT_EQ(getpid(), 1);
    all.mutex().lock();
    child("supervisor", [&](agent&) {
      supervisor_options options = sweeping_often();
      options.kill_patience = milliseconds(50);
      watching watch(all.seg(), options);
      std::optional<std::system_error> refused;
      watch->on_hung(milliseconds(20), [&](const hung_owner& owner) {
        EXPECT_EQ(owner.who.pid, 1);
        try {
          watch->kill_and_recover(owner);
        } catch (const std::system_error& error) {
          refused = error;
        }
      });
      ASSERT_TRUE(watch.until([&] { return refused.has_value(); }));
      EXPECT_EQ(refused->code(), std::errc::operation_not_permitted);
      EXPECT_THAT(refused->what(), ::testing::HasSubstr("process 1 of this PID namespace"));
      EXPECT_TRUE(watch.deaths.empty());
    }).expect_exit();
    all.mutex().unlock();  // it lives, and holds it
  });
}

TEST_F(container_kill_test, process_1_reports_how_orphans_ended_and_reaps_them) {
  in_container([] {
    const accounts all;
    const repair_registration repair = all.mended_here();
    supervisor_options options = without_sweeps();
    options.reap_children = true;
    watching watch(all.seg(), options);
    const pid_t orphan = start_orphan(all);
    ASSERT_EQ(kill(orphan, SIGKILL), 0);
    ASSERT_TRUE(watch.until_dead(orphan));
    EXPECT_EQ(watch.find(orphan)->signal, SIGKILL);
    EXPECT_EQ(watch.find(orphan)->recovered.size(), 1u);
    EXPECT_EQ(all.repairs(), 1u);
    EXPECT_EQ(kill(orphan, 0), -1) << "it is a zombie";
    EXPECT_EQ(errno, ESRCH);
    EXPECT_TRUE(watch.errors.empty()) << watch.errors[0];
  });
}

TEST_F(container_kill_test, an_orphan_that_nobody_reaps_is_recovered) {
  in_container([] {
    const accounts all;
    const repair_registration repair = all.mended_here();
    const pid_t orphan = start_orphan(all);
    child("supervisor", [&](agent&) {
      watching watch(all.seg());
      ASSERT_EQ(kill(orphan, SIGKILL), 0);
      ASSERT_TRUE(watch.until_dead(orphan));
      EXPECT_EQ(watch.find(orphan)->recovered.size(), 1u);
      EXPECT_EQ(watch.find(orphan)->signal, std::nullopt) << "only its parent is told";
      EXPECT_EQ(task_state(orphan), 'Z');
      EXPECT_TRUE(watch.until([&] { return watch.idle(); })) << "a zombie keeps it awake";
    }).expect_exit();
    EXPECT_EQ(all.repairs(), 1u);
  });
}

}  // namespace
}  // namespace outlive::testing
