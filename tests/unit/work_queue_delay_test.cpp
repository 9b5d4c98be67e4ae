// Jobs that are given back for a later time: not handed out before it, and not lost.
#include <gtest/gtest.h>

#include <chrono>
#include <stop_token>
#include <thread>

#include <outlive/outlive.hpp>

#include "format/layout.hpp"
#include "scenes/queue_states.hpp"
#include "support/bounded.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;
using queue = work_queue<long, 4>;

class work_queue_delay_test : public ::testing::Test {
 protected:
  void push_and_delay(long job) {
    queue_.push(job);
    queue_.pop().give_back(1h);
  }
  void expect_counts(std::uint32_t waiting, std::uint32_t delayed) {
    EXPECT_EQ(queue_.counts().waiting, waiting);
    EXPECT_EQ(queue_.counts().delayed, delayed);
    EXPECT_EQ(queue_.leased(), 0u);
  }
  [[nodiscard]] detail::work_queue_bytes& head() {
    return reinterpret_cast<detail::work_queue_bytes&>(queue_);
  }
  [[nodiscard]] bool somebody_sleeps() {
    return within(default_timeout(), [&] { return (head().not_empty.load() & 1) != 0; });
  }

  segment seg_ = segment::anonymous();
  queue& queue_ = seg_.find_or_construct<queue>("jobs");
};

TEST_F(work_queue_delay_test, a_job_is_not_handed_out_before_its_time) {
  push_and_delay(1);
  expect_counts(1, 1);
  EXPECT_FALSE(queue_.try_pop());
  EXPECT_FALSE(queue_.try_pop_for(1ms));
  time_of(queue_, 0) = 1;  // a time that is over
  expect_counts(1, 0);
  auto again = queue_.try_pop();
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, 1);
  EXPECT_EQ(again.tries(), 1u) << "it was no try";
  EXPECT_TRUE(again.died_on_it().empty());
  again.done();
  expect_counts(0, 0);
}

TEST_F(work_queue_delay_test, a_sleeper_gets_it_when_the_time_has_come) {
  for (const auto& wait : {1ms, 20ms}) {
    queue_.push(1);
    auto mine = queue_.pop();
    const auto time = std::chrono::steady_clock::now() + wait;
    mine.give_back(time);
    auto again = queue_.pop();
    EXPECT_GE(std::chrono::steady_clock::now(), time);
    again.done();
  }
}

TEST_F(work_queue_delay_test, a_time_on_another_clock_counts) {
  queue_.push(1);
  queue_.pop().give_back(std::chrono::system_clock::now() + 1h);
  EXPECT_FALSE(queue_.try_pop());
  queue_.push(2);
  auto other = queue_.pop();
  EXPECT_EQ(*other, 2);
  other.give_back(std::chrono::system_clock::now() - 1h);
  auto at_once = queue_.try_pop();
  ASSERT_TRUE(at_once) << "a time that is over is none";
  EXPECT_EQ(*at_once, 2);
  at_once.give_back(std::chrono::steady_clock::time_point::max());
  EXPECT_FALSE(queue_.try_pop());
  expect_counts(2, 2);
}

TEST_F(work_queue_delay_test, other_jobs_go_past_it) {
  push_and_delay(1);
  for (long i = 2; i < 20; ++i) {
    queue_.push(i);
    auto next = queue_.try_pop();
    ASSERT_TRUE(next);
    EXPECT_EQ(*next, i);
    next.done();
  }
  time_of(queue_, 0) = 1;
  EXPECT_EQ(*queue_.pop(), 1);
}

// It sleeps past the time of a job that is given back afterwards, unless it is woken.
TEST_F(work_queue_delay_test, giving_back_wakes_a_sleeper) {
  queue_.push(1);
  auto mine = queue_.pop();
  std::jthread sleeper([&](const std::stop_token& stop) { EXPECT_FALSE(queue_.pop(stop)); });
  ASSERT_TRUE(somebody_sleeps());
  const std::uint32_t before = head().not_empty.load() >> 1;
  mine.give_back(1h);
  EXPECT_EQ(head().not_empty.load() >> 1, before + 1);
}

TEST_F(work_queue_delay_test, a_closed_queue_waits_for_it) {
  push_and_delay(1);
  queue_.close();
  EXPECT_FALSE(queue_.try_pop_for(1ms)) << "its time has not come";
  time_of(queue_, 0) = 1;
  auto last = queue_.pop();
  ASSERT_TRUE(last);
  last.done();
  EXPECT_FALSE(queue_.pop());
}

// As a thread would find it that had read the time before another one gave the job back again.
TEST_F(work_queue_delay_test, only_the_holder_can_give_it_back) {
  queue_.push(1);
  auto mine = queue_.pop();
  std::thread([&] { EXPECT_THROW(mine.give_back(1h), std::system_error); }).join();
  EXPECT_EQ(queue_.leased(), 1u);
  mine.give_back(1h);
  EXPECT_THROW(mine.give_back(1h), std::system_error);
}

}  // namespace
}  // namespace outlive::testing
