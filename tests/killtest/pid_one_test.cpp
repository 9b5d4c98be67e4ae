// explore() as the first process of a PID namespace: the entry point of a container.
#include <outlive/killtest/explore.hpp>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

constexpr int no_namespace = 77;

int exit_code_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Runs `body` as process 1 of a new PID namespace, with a /proc of its own. Returns: what it
/// returned; no_namespace if this process may not make one.
int run_as_pid_one(const std::function<int()>& body) {
  const pid_t outer = ::fork();
  if (outer != 0) return exit_code_of(outer);
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(no_namespace);
  const pid_t first = ::fork();
  if (first != 0) ::_exit(exit_code_of(first));
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", 0, nullptr) != 0)
    ::_exit(no_namespace);
  ::_exit(body());
}

/// The first process of a namespace is also the parent of the orphans in it. A heir that waited for
/// its next question for a second took that for the death of its parent, and ended.
TEST(pid_one, heirs_stay_while_the_explorer_does_something_else) {
  void* const memory =
      ::mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& runs = *static_cast<std::atomic<int>*>(memory);
  scenario slow = bank_scenario(&undo_in_order);
  slow.victim = [&runs, transfer_it = slow.victim](segment& seg) {
    // Longer than that second: it is the length that matters here, not an order of events.
    if (runs++ == 0) ::usleep(1'500'000);
    transfer_it(seg);
  };
  explore_options how;
  how.depth = 2;
  const int code = run_as_pid_one([&] {
    const report found = explore(slow, how);
    std::fputs(found.summary().c_str(), stdout);
    std::fflush(stdout);
    return found.ok() && ::getpid() == 1 && runs > 1 ? 0 : 1;
  });
  ::munmap(memory, sizeof(int));
  if (code == no_namespace) GTEST_SKIP() << "this process may not make a PID namespace";
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace outlive::killtest::testing
