// Sleeps that grow while nothing happens, and only then.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "shared/growing_sleep.hpp"
#include "support/bounded.hpp"
#include "support/leaks.hpp"
#include "sys/futex.hpp"

namespace outlive::detail {
namespace {

using namespace std::chrono_literals;
using testing::within;

TEST(growing_sleep, doubles_up_to_a_slice_while_nothing_happens) {
  const shared_u32 word{0};
  growing_sleep sleep(1ms);
  for (const auto next : {2ms, 4ms, 8ms, 16ms, 32ms, 64ms, 128ms, 250ms, 250ms}) {
    EXPECT_TRUE(sleep.on(word, 0, 1us));
    EXPECT_EQ(sleep.next(), next);
  }
}

// Readers that leave wake the writer that waits for the last of them.
TEST(growing_sleep, stays_as_long_when_the_sleeper_is_woken) {
  shared_u32 word{0};
  std::atomic<pid_t> tid{0};
  growing_sleep sleep(1h);
  std::thread sleeper([&] {
    tid = static_cast<pid_t>(syscall(SYS_gettid));
    EXPECT_FALSE(sleep.on(word, 0, 1h));
  });
  EXPECT_TRUE(within(testing::default_timeout(),
                     [&] { return tid != 0 && testing::task_state(tid) == 'S'; }));
  word = 1;
  futex_wake(word, 1);
  sleeper.join();
  EXPECT_EQ(sleep.next(), 1h);
}

TEST(growing_sleep, stays_as_long_when_the_word_has_changed_before) {
  const shared_u32 word{1};
  growing_sleep sleep(1h);
  EXPECT_FALSE(sleep.on(word, 0, 1h));
  EXPECT_EQ(sleep.next(), 1h);
}

}  // namespace
}  // namespace outlive::detail
