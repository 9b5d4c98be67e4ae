// push_many() and pop_many(): in order, as far as there is room, and as many as are there.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <numeric>
#include <stop_token>
#include <system_error>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "format/object_layout.hpp"
#include "support/bounded.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;
using queue = work_queue<long, 8>;

class work_queue_many_test : public ::testing::Test {
 protected:
  static std::vector<long> numbers(std::size_t count) {
    std::vector<long> made(count);
    std::iota(made.begin(), made.end(), 0L);
    return made;
  }
  void expect_next(long first, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto one = queue_.try_pop();
      ASSERT_TRUE(one);
      EXPECT_EQ(*one, first + static_cast<long>(i));
      one.done();
    }
    EXPECT_FALSE(queue_.try_pop());
  }
  [[nodiscard]] bool somebody_waits(const detail::shared_u32& word) {
    return within(default_timeout(), [&] { return (word.load() & 1) != 0; });
  }
  [[nodiscard]] detail::work_queue_bytes& head() {
    return reinterpret_cast<detail::work_queue_bytes&>(queue_);
  }

  segment seg_ = segment::anonymous();
  queue& queue_ = seg_.find_or_construct<queue>("jobs");
};

TEST_F(work_queue_many_test, jobs_are_pushed_in_order) {
  const auto jobs = numbers(5);
  EXPECT_EQ(queue_.push_many(jobs), 5u);
  expect_next(0, 5);
  const std::array<long, 2> two{7, 8};
  EXPECT_EQ(queue_.push_many(two), 2u);
  expect_next(7, 2);
  EXPECT_EQ(queue_.push_many({}), 0u);
}

TEST_F(work_queue_many_test, a_full_queue_gets_as_many_as_there_is_room_for) {
  const auto jobs = numbers(11);
  EXPECT_EQ(queue_.try_push_many(jobs), 8u);
  EXPECT_EQ(queue_.try_push_many(jobs), 0u);
  EXPECT_EQ(queue_.try_push_many_for(jobs, 1ms), 0u);
  EXPECT_EQ(queue_.try_push_many_until(jobs, std::chrono::system_clock::now()), 0u);
  expect_next(0, 8);
}

TEST_F(work_queue_many_test, push_many_waits_for_room_and_pop_many_for_the_first) {
  const auto jobs = numbers(100);
  std::thread producer([&] { EXPECT_EQ(queue_.push_many(jobs), 100u); });
  long next = 0;
  while (next < 100) {
    auto some = queue_.pop_many(5);
    ASSERT_GE(some.size(), 1u);
    ASSERT_LE(some.size(), 5u);
    for (auto& one : some) {
      EXPECT_EQ(*one, next++);
      one.done();
    }
  }
  producer.join();
  EXPECT_EQ(queue_.counts().waiting, 0u);
}

TEST_F(work_queue_many_test, a_stop_ends_both_and_says_how_far_they_came) {
  const auto jobs = numbers(10);
  std::jthread producer(
      [&](const std::stop_token& stop) { EXPECT_EQ(queue_.push_many(jobs, stop), 8u); });
  EXPECT_TRUE(somebody_waits(head().not_full));
  producer.request_stop();
  producer.join();
  expect_next(0, 8);
  std::jthread consumer(
      [&](const std::stop_token& stop) { EXPECT_TRUE(queue_.pop_many(3, stop).empty()); });
  EXPECT_TRUE(somebody_waits(head().not_empty));
  consumer.request_stop();
}

TEST_F(work_queue_many_test, a_queue_that_is_closed_meanwhile_has_the_first_jobs) {
  const auto jobs = numbers(10);
  std::thread producer([&] { EXPECT_EQ(queue_.push_many(jobs), 8u); });
  EXPECT_TRUE(somebody_waits(head().not_full));
  queue_.close();
  producer.join();
  try {
    queue_.push_many(jobs);
    ADD_FAILURE() << "no error";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::queue_closed);
  }
  EXPECT_EQ(queue_.pop_many(20).size(), 8u) << "and their leases end here";
  for (auto& one : queue_.pop_many(20)) one.done();
  EXPECT_TRUE(queue_.pop_many(20).empty()) << "the end";
}

TEST_F(work_queue_many_test, pop_many_takes_what_is_there) {
  EXPECT_TRUE(queue_.try_pop_many(3).empty());
  EXPECT_TRUE(queue_.try_pop_many_for(3, 1ms).empty());
  EXPECT_TRUE(queue_.try_pop_many_until(3, std::chrono::steady_clock::now()).empty());
  queue_.push_many(numbers(4));
  EXPECT_TRUE(queue_.pop_many(0).empty());
  auto three = queue_.pop_many(3);
  ASSERT_EQ(three.size(), 3u);
  auto one = queue_.try_pop_many(3);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(*one[0], 3);
  EXPECT_EQ(queue_.leased(), 4u);
  three[1].fail();
  EXPECT_EQ(queue_.leased(), 3u);
}

}  // namespace
}  // namespace outlive::testing
