// What the kit keeps open is never 0 to 2, where a scenario's messages go: not even in a program
// that has closed these.
#include <outlive/killtest/explore.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <new>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

int standard_numbers_in_use() {
  int used = 0;
  for (const int number : {0, 1, 2}) {
    if (::fcntl(number, F_GETFD) >= 0) used |= 1 << number;
  }
  return used;
}

TEST(standard_numbers, are_used_neither_in_a_scenario_nor_after_it) {
  void* const shared =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto& seen = *::new (shared) std::atomic<int>(0);
  auto& heirs = *::new (static_cast<char*>(shared) + 64) std::atomic<int>(0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (const int number : {0, 1, 2}) ::close(number);
    // some states fail, so that functions are looked up, too
    scenario what = bank_scenario(&clear_flag_first);
    const auto right = what.invariant;
    what.invariant = [&, right](segment& seg) {
      ++heirs;
      seen |= standard_numbers_in_use();
      return right(seg);
    };
    explore_options how;
    how.with = engine::page_protection;
    how.confirm = 4;
    const report found = explore(what, how);
    ::_exit(found.failed() != 0 ? standard_numbers_in_use() : 8);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_GT(heirs.load(), 0);
  EXPECT_EQ(seen.load(), 0);
}

}  // namespace
}  // namespace outlive::killtest::testing
