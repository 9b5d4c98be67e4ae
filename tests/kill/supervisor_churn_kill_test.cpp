// Ten thousand deaths in a row: a supervisor that runs for months must leave nothing of them
// behind.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

TEST(supervisor_churn_kill_test, ten_thousand_deaths_leave_no_record_descriptor_or_memory_behind) {
  constexpr unsigned deaths = 10'000;
  constexpr unsigned warm_up = 1'000;
  const accounts all(4);
  const auto repair = all.mended_here();
  supervisor_options options = without_sweeps();
  options.reap_children = true;
  watching watch(all.seg(), options);

  std::size_t memory = 0;
  holdings before = holdings::of(getpid());
  for (unsigned i = 0; i < deaths; ++i) {
    const pid_t pid = fork();
    ASSERT_NE(pid, -1);
    if (pid == 0) {
      all.lock_and_tear(i % 4);
      kill(getpid(), SIGKILL);
    }
    ASSERT_TRUE(watch.until_dead(pid)) << "death " << i << '\n' << all.who_holds_what();
    ASSERT_EQ(watch.deaths.size(), 1u) << "death " << i;
    ASSERT_EQ(watch.deaths[0].recovered.size(), 1u) << "death " << i;
    ASSERT_EQ(watch.deaths[0].signal, SIGKILL) << "death " << i;
    watch.deaths.clear();
    if (i == warm_up) {
      memory = mallinfo2().uordblks;
      before = holdings::of(getpid());
    }
  }
  EXPECT_LT(mallinfo2().uordblks, memory + 16 * 1024);
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
  EXPECT_EQ(holdings::of(getpid()).open_files(), before.open_files());
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
  EXPECT_EQ(all.repairs(), deaths);
  EXPECT_EQ(watch->watched(), 0u);
  EXPECT_TRUE(watch.errors.empty()) << watch.errors[0];
}

}  // namespace
}  // namespace outlive::testing
