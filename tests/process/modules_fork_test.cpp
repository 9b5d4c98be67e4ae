// A fork while another thread of the process lists its modules, which it does under a lock of
// glibc's.
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "support/leaks.hpp"
#include "sys/modules.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct lister {
  pid_t forker = 0;
  shared_value<int> step;
};

/// Stays in the list until the forking thread sleeps: in fork(), or else because it waits for this
/// thread.
bool stay_in_the_list(const detail::loaded_module&, void* context) {
  auto& mine = *static_cast<lister*>(context);
  mine.step.store(1);
  EXPECT_TRUE(mine.step.wait_equal(2));
  EXPECT_TRUE(within(default_timeout(), [&] { return task_state(mine.forker) == 'S'; }));
  return false;
}

TEST(modules_fork, while_a_thread_lists_the_modules_leaves_a_child_that_can_lock) {
  segment seg = segment::anonymous(few_of_everything());
  auto& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  lister inside;
  inside.forker = gettid();
  std::thread listing([&] {
    detail::for_each_module(&stay_in_the_list, &inside);
    // In the child, where nobody can join it, ThreadSanitizer would call a thread that had ended
    // before the fork a leak.
    EXPECT_TRUE(inside.step.wait_equal(3));
  });
  EXPECT_TRUE(inside.step.wait_equal(1));
  inside.step.store(2);
  child forked("forked", [&](agent&) { EXPECT_EQ(lock_code(mutex), std::error_code()); });
  inside.step.store(3);
  listing.join();
  forked.expect_exit();
}

}  // namespace
}  // namespace outlive::testing
