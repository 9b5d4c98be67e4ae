// Waits for jobs and for room: who waits is woken, by the change itself, and many at once lose
// nothing.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "companions/wait_word.hpp"
#include "format/layout.hpp"
#include "support/bounded.hpp"
#include "support/leaks.hpp"
#include "sys/futex.hpp"

namespace outlive {
namespace {

using namespace std::chrono_literals;
using testing::within;
using queue_of_two = work_queue<long, 2>;

class work_queue_wait_test : public ::testing::Test {
 protected:
  [[nodiscard]] detail::work_queue_bytes& head() {
    return reinterpret_cast<detail::work_queue_bytes&>(queue_);
  }
  void make_dead_letter() {
    queue_.push(1);
    for (int i = 0; i < 3; ++i) queue_.pop().fail();
  }

  /// Waiters of the library look again after each slice, and would hide a wake-up that never comes.
  /// This one does not: it sleeps until it is woken.
  void expect_wakes(detail::shared_u32& word, const std::function<void()>& change) {
    std::atomic<pid_t> tid{0};
    std::atomic<bool> woken{false};
    std::thread sleeper([&] {
      const std::uint32_t seen = detail::wait_word::mark(word);
      tid = static_cast<pid_t>(syscall(SYS_gettid));
      detail::futex_wait(word, seen, 1h);
      woken = true;
    });
    EXPECT_TRUE(within(testing::default_timeout(),
                       [&] { return tid != 0 && testing::task_state(tid) == 'S'; }));
    change();
    EXPECT_TRUE(within(testing::default_timeout(), [&] { return woken.load(); }));
    word.fetch_add(2);
    detail::futex_wake(word, 1000);
    sleeper.join();
  }

  segment seg_ = segment::anonymous();
  queue_of_two& queue_ = seg_.find_or_construct<queue_of_two>("jobs");
};

TEST_F(work_queue_wait_test, a_push_wakes_a_consumer) {
  expect_wakes(head().not_empty, [&] { queue_.push(1); });
}

TEST_F(work_queue_wait_test, a_job_that_is_given_back_wakes_a_consumer) {
  queue_.push(1);
  auto one = queue_.pop();
  expect_wakes(head().not_empty, [&] { one.give_back(); });
  auto again = queue_.pop();
  expect_wakes(head().not_empty, [&] { again.fail(); });
}

TEST_F(work_queue_wait_test, a_dead_letter_that_is_tried_again_wakes_a_consumer) {
  make_dead_letter();
  auto letter = queue_.pop_dead_letter();
  expect_wakes(head().not_empty, [&] { letter.retry(); });
}

TEST_F(work_queue_wait_test, a_job_that_is_done_wakes_a_producer) {
  queue_.push(1);
  auto one = queue_.pop();
  expect_wakes(head().not_full, [&] { one.done(); });
}

TEST_F(work_queue_wait_test, a_dead_letter_that_is_removed_wakes_a_producer) {
  make_dead_letter();
  auto letter = queue_.pop_dead_letter();
  expect_wakes(head().not_full, [&] { letter.done(); });
}

TEST_F(work_queue_wait_test, a_request_to_stop_wakes_a_consumer) {
  std::stop_source stop;
  std::atomic<bool> waits{false};
  std::thread worker([&] {
    waits = true;
    EXPECT_FALSE(queue_.pop(stop.get_token()));
  });
  EXPECT_TRUE(within(testing::default_timeout(), [&] {
    return waits && (head().not_empty & detail::wait_word::maybe_waiters) != 0;
  }));
  const std::uint32_t before = head().not_empty;
  stop.request_stop();
  EXPECT_NE(head().not_empty.load(), before)
      << "whoever had marked it, and not slept yet, would sleep for a slice";
  worker.join();
}

TEST_F(work_queue_wait_test, a_stop_that_was_requested_before_leaves_no_job_behind) {
  std::stop_source stop;
  stop.request_stop();
  queue_.push(1);
  EXPECT_TRUE(queue_.pop(stop.get_token()));
  queue_.pop().done();
  EXPECT_FALSE(queue_.pop(stop.get_token()));
}

TEST_F(work_queue_wait_test, consumers_and_producers_that_wait_for_each_other_lose_nothing) {
  constexpr long per_producer = 2'000;
  constexpr int producers = 3, consumers = 3;
  std::vector<std::atomic<int>> acknowledged(producers * per_producer);
  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (long i = 0; i < per_producer; ++i) queue_.push(p * per_producer + i);
    });
  }
  for (int c = 0; c < consumers; ++c) {
    threads.emplace_back([&] {
      for (auto one = queue_.pop(); *one >= 0; one = queue_.pop()) {
        ++acknowledged[static_cast<std::size_t>(*one)];
        one.done();
      }
    });
  }
  for (int p = 0; p < producers; ++p) threads[static_cast<std::size_t>(p)].join();
  // each consumer ends with it in hand, and so gives it back to the next: three tries
  queue_.push(-1);
  for (std::size_t i = producers; i < threads.size(); ++i) threads[i].join();
  for (const auto& each : acknowledged) ASSERT_EQ(each, 1);
}

// One producer and one consumer, which runs into the end of the queue again and again: what is
// pushed behind its back while it looks must not come first.
TEST_F(work_queue_wait_test, order_holds_while_the_queue_runs_empty_and_full) {
  auto& queue = seg_.find_or_construct<work_queue<long, 7>>("seven");
  constexpr long jobs = 20'000;
  std::thread producer([&] {
    for (long i = 0; i < jobs; ++i) queue.push(i);
  });
  long out_of_order = 0;
  for (long i = 0; i < jobs; ++i) {
    auto one = queue.pop();
    if (*one != i) ++out_of_order;
    one.done();
  }
  producer.join();
  EXPECT_EQ(out_of_order, 0);
}

TEST_F(work_queue_wait_test, a_closed_queue_ends_when_all_jobs_are_done) {
  queue_.push(1);
  queue_.push(2);
  queue_.close();
  EXPECT_TRUE(queue_.closed());
  auto one = queue_.pop();
  auto two = queue_.pop();
  EXPECT_FALSE(queue_.try_pop());
  std::atomic<int> got{0}, ended{0};
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i) {
    others.emplace_back([&] {
      while (auto job = queue_.pop()) {
        got += static_cast<int>(*job);
        job.done();
      }
      ++ended;
    });
  }
  one.give_back();
  EXPECT_TRUE(within(testing::default_timeout(), [&] { return got == 1; }));
  EXPECT_EQ(ended, 0) << "the other job may come again";
  two.done();
  for (auto& each : others) each.join();
  EXPECT_EQ(got, 1);
  EXPECT_FALSE(queue_.pop());
  queue_.reopen();
  queue_.push(3);
  EXPECT_EQ(*queue_.pop(), 3);
}

// By the change itself, not by a slice that ends.
TEST_F(work_queue_wait_test, sleepers_are_woken_at_the_end_of_a_closed_queue) {
  queue_.push(1);
  auto one = queue_.pop();
  expect_wakes(head().not_empty, [&] { queue_.close(); });
  expect_wakes(head().not_full, [&] { queue_.close(); });
  expect_wakes(head().not_empty, [&] { one.done(); });
  queue_.reopen();
  queue_.push(1);
  for (int i = 0; i < 2; ++i) queue_.pop().fail();
  auto last = queue_.pop();
  queue_.close();
  expect_wakes(head().not_empty, [&] { last.fail(); });
}

TEST_F(work_queue_wait_test, a_closed_queue_takes_no_job) {
  queue_.push(1);
  queue_.push(2);
  std::atomic<bool> refused{false};
  std::thread waits([&] {
    try {
      queue_.push(3);
    } catch (const std::system_error& error) {
      refused = error.code() == errc::queue_closed;
    }
  });
  EXPECT_TRUE(within(testing::default_timeout(), [&] {
    return (head().not_full.load() & detail::wait_word::maybe_waiters) != 0;
  }));
  queue_.close();
  waits.join();
  EXPECT_TRUE(refused);
  for (int i = 0; i < 2; ++i) queue_.pop().done();
  EXPECT_THROW(queue_.push(4), std::system_error);
  EXPECT_THROW(static_cast<void>(queue_.try_push(4)), std::system_error);
  EXPECT_EQ(queue_.waiting(), 0u);
  queue_.reopen();
  EXPECT_TRUE(queue_.try_push(4));
  EXPECT_TRUE(queue_.try_push(5)) << "no slot was lost";
}

TEST_F(work_queue_wait_test, a_request_to_stop_ends_a_push_and_a_wait_with_a_limit) {
  queue_.push(1);
  queue_.push(2);
  std::stop_source stop;
  std::atomic<int> ended{0};
  std::thread by_push([&] { ended += !queue_.push(3, stop.get_token()); });
  std::thread by_limit([&] { ended += !queue_.try_push_for(3, 1h, stop.get_token()); });
  EXPECT_TRUE(within(testing::default_timeout(), [&] {
    return (head().not_full.load() & detail::wait_word::maybe_waiters) != 0;
  }));
  stop.request_stop();
  by_push.join();
  by_limit.join();
  EXPECT_EQ(ended, 2);
  for (int i = 0; i < 2; ++i) queue_.pop().done();
  std::stop_source other;
  std::thread by_pop([&] { ended += !queue_.try_pop_for(1h, other.get_token()); });
  other.request_stop();
  by_pop.join();
  EXPECT_EQ(ended, 3);
  EXPECT_FALSE(queue_.try_pop_for(1ms, std::stop_source().get_token()));
}

}  // namespace
}  // namespace outlive
