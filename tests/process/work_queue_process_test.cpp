// Producers and workers of several processes, all of which live.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstdint>
#include <memory>

#include <outlive/outlive.hpp>

#include "format/object_layout.hpp"
#include "support/child.hpp"

namespace outlive::testing {
namespace {

struct large_job {
  long number;
  char rest[4088];
};
using queue = work_queue<large_job, 64>;

// What a producer copies from. Its page cannot be read until the parent says so, so that the
// producer stands in the middle of push().
large_job* unreadable = nullptr;
agent* producer = nullptr;

void wait_for_the_parent(int) {
  producer->tell("fills");
  producer->await("go on");
  mprotect(unreadable, sizeof *unreadable, PROT_READ);
}

class work_queue_process_test : public ::testing::Test {
 protected:
  void push(long number) { queue_.push({number, {}}); }
  long pop() {
    auto one = queue_.try_pop();
    if (!one) return -1;
    const long number = one->number;
    one.done();
    return number;
  }
  /// A process that stands in the middle of push({number}).
  std::unique_ptr<child> slow_producer(long number) {
    auto made = std::make_unique<child>("producer", [this, number](agent& parent) {
      producer = &parent;
      unreadable = static_cast<large_job*>(mmap(nullptr, sizeof *unreadable, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      ASSERT_NE(unreadable, MAP_FAILED);
      unreadable->number = number;
      ASSERT_EQ(mprotect(unreadable, sizeof *unreadable, PROT_NONE), 0);
      std::signal(SIGSEGV, wait_for_the_parent);
      queue_.push(*unreadable);
    });
    made->wait_for("fills");
    return made;
  }

  segment seg_ = segment::anonymous();
  queue& queue_ = seg_.find_or_construct<queue>("jobs");
};

TEST_F(work_queue_process_test, a_producer_that_was_stopped_while_it_filled_is_not_overtaken) {
  const auto slow = slow_producer(1000);
  push(0);
  EXPECT_EQ(pop(), 0) << "the slot that is being filled holds nobody up";
  slow->tell("go on");
  slow->expect_exit();
  for (long i = 1; i <= 40; ++i) push(i);
  EXPECT_EQ(pop(), 1000) << "its push() had returned before the others began";
  for (long i = 1; i <= 40; ++i) EXPECT_EQ(pop(), i);
  EXPECT_EQ(pop(), -1);
}

TEST_F(work_queue_process_test, a_producer_that_was_stopped_for_many_rounds_is_not_overtaken) {
  const auto slow = slow_producer(1000);
  for (long i = 0; i < 1000; ++i) {
    push(i);
    EXPECT_EQ(pop(), i);
  }
  slow->tell("go on");
  slow->expect_exit();
  for (long i = 1; i <= 40; ++i) push(i);
  EXPECT_EQ(pop(), 1000);
  for (long i = 1; i <= 40; ++i) EXPECT_EQ(pop(), i);
}

// A producer that is stopped after its look at tail takes an older position than the others'. Here
// tail itself is the older one until the producer has its slot.
TEST_F(work_queue_process_test, a_producer_that_was_stopped_before_it_had_a_slot_is_not_overtaken) {
  for (long i = 0; i < 10; ++i) {
    push(i);
    EXPECT_EQ(pop(), i);
  }
  detail::shared_u64& tail = reinterpret_cast<detail::work_queue_head&>(queue_).tail;
  const std::uint64_t now = tail.exchange(0);
  const auto slow = slow_producer(1000);
  tail.store(now);
  slow->tell("go on");
  slow->expect_exit();
  for (long i = 1; i <= 40; ++i) push(i);
  EXPECT_EQ(pop(), 1000);
  for (long i = 1; i <= 40; ++i) EXPECT_EQ(pop(), i);
}

}  // namespace
}  // namespace outlive::testing
