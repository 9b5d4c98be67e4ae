// Leases, dead letters and permits that are handed to another thread: whose they are, and what is
// left when either thread ends.
#include <outlive/handed_over.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include <outlive/outlive.hpp>

#include "support/child.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

using queue = work_queue<long, 4>;
using pool = permit_pool<4>;

template <class Work>
void in_a_thread(Work work) {
  std::thread(std::move(work)).join();
}

class handed_over_test : public ::testing::Test {
 protected:
  lease<long> pop(long number = 42) {
    jobs_.push(number);
    return jobs_.pop();
  }
  dead_letter<long> letter() {
    jobs_.push(42);
    for (unsigned i = 0; i < 3; ++i) jobs_.pop().fail();
    return jobs_.pop_dead_letter();
  }
  void expect_counts(std::uint32_t waiting, std::uint32_t leased, std::uint32_t dead) {
    const work_queue_counts found = jobs_.counts();
    EXPECT_EQ(found.waiting, waiting);
    EXPECT_EQ(found.leased, leased);
    EXPECT_EQ(found.dead_letters, dead);
  }
  static std::error_code error_of_done(lease<long>& job) {
    try {
      job.done();
    } catch (const std::system_error& error) {
      return error.code();
    }
    return {};
  }

  segment seg_ = segment::anonymous();
  queue& jobs_ = seg_.find_or_construct<queue>("jobs");
  pool& permits_ = seg_.find_or_construct<pool>("permits");
};

TEST_F(handed_over_test, the_other_thread_has_the_job_and_ends_it) {
  auto mine = pop();
  auto handed = mine.hand_over();
  EXPECT_FALSE(mine);
  EXPECT_TRUE(handed);
  expect_counts(0, 1, 0);
  in_a_thread([&] {
    auto taken = handed.take();
    EXPECT_FALSE(handed);
    ASSERT_TRUE(taken);
    EXPECT_EQ(*taken, 42);
    EXPECT_EQ(taken.tries(), 1U) << "it is the same try";
    taken.done();
  });
  expect_counts(0, 0, 0);
  EXPECT_FALSE(handed.take()) << "there is nothing more to take";
}

TEST_F(handed_over_test, every_end_of_a_lease_works_in_the_other_thread) {
  in_a_thread([handed = pop().hand_over()]() mutable { handed.take().give_back(); });
  expect_counts(1, 0, 0);
  in_a_thread([handed = jobs_.pop().hand_over()]() mutable { handed.take().fail(); });
  expect_counts(1, 0, 0);
  in_a_thread(
      [handed = jobs_.pop().hand_over()]() mutable { EXPECT_EQ(handed.take().tries(), 2U); });
  expect_counts(1, 0, 0);
  jobs_.pop().done();
  in_a_thread([handed = letter().hand_over()]() mutable { handed.take().retry(); });
  expect_counts(1, 0, 0);
  EXPECT_EQ(jobs_.pop().tries(), 1U);
}

TEST_F(handed_over_test, the_other_thread_has_the_permit_and_releases_it) {
  auto handed = permits_.acquire().hand_over();
  EXPECT_EQ(permits_.count(), 3U);
  in_a_thread([&] {
    auto taken = handed.take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(permits_.count(), 3U);
    taken.release();
  });
  EXPECT_EQ(permits_.count(), 4U);
}

TEST_F(handed_over_test, a_job_can_be_handed_on_and_back) {
  auto handed = pop().hand_over();
  auto again = handed.take().hand_over();  // to the same thread
  in_a_thread([&] { again = again.take().hand_over(); });
  auto back = again.take();
  ASSERT_TRUE(back);
  EXPECT_EQ(back.tries(), 1U);
  back.done();
  expect_counts(0, 0, 0);
}

TEST_F(handed_over_test, what_is_not_taken_is_returned_in_any_thread) {
  in_a_thread([handed = pop().hand_over()] {});
  expect_counts(1, 0, 0);
  EXPECT_EQ(jobs_.pop().tries(), 1U) << "no try";
  { const auto handed = jobs_.pop().hand_over(); }
  expect_counts(1, 0, 0);
  jobs_.pop().done();
  in_a_thread([handed = letter().hand_over()] {});
  expect_counts(0, 0, 1);
  in_a_thread([handed = permits_.acquire().hand_over()] {});
  EXPECT_EQ(permits_.count(), 4U);
}

TEST_F(handed_over_test, a_thread_that_ends_before_the_take_loses_it_to_the_first_that_looks) {
  static_cast<void>(permits_.acquire());  // a record of its own: it does not reuse the other's
  handed_over<lease<long>> handed;
  handed_over<permit> one;
  in_a_thread([&] {
    handed = pop().hand_over();
    one = permits_.acquire().hand_over();
  });
  expect_counts(1, 0, 0);
  EXPECT_EQ(permits_.count(), 4U);
  auto theirs = jobs_.pop();
  EXPECT_EQ(theirs.tries(), 2U);
  ASSERT_EQ(theirs.died_on_it().size(), 1U);
  EXPECT_TRUE(theirs.died_on_it().front().known);
  EXPECT_FALSE(handed.take());
  theirs.done();
  const auto all = permits_.acquire(), of = permits_.acquire(), the = permits_.acquire(),
             four = permits_.acquire();
  EXPECT_FALSE(one.take());
  EXPECT_EQ(permits_.count(), 0U);
}

TEST_F(handed_over_test, a_thread_that_ends_before_the_take_loses_nothing_if_nobody_looked) {
  handed_over<lease<long>> handed;
  handed_over<permit> one;
  in_a_thread([&] {
    handed = pop().hand_over();
    one = permits_.acquire().hand_over();
  });
  auto taken = handed.take();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken.tries(), 1U);
  expect_counts(0, 1, 0);
  taken.done();
  const auto mine = one.take();
  EXPECT_TRUE(mine);
  EXPECT_EQ(permits_.count(), 3U);
}

TEST_F(handed_over_test, the_history_names_the_thread_that_took_it) {
  auto handed = pop().hand_over();
  pid_t taker = 0;
  lease<long> outlived;
  in_a_thread([&] {
    taker = gettid();
    outlived = handed.take();  // the thread ends with it
  });
  // Its record is reused: the name is known by what it wrote.
  in_a_thread([&] { static_cast<void>(permits_.acquire()); });
  auto next = jobs_.pop();
  ASSERT_EQ(next.died_on_it().size(), 1U);
  EXPECT_TRUE(next.died_on_it().front().known);
  EXPECT_EQ(next.died_on_it().front().tid, taker);
}

TEST_F(handed_over_test, the_first_threads_record_stays_until_the_take) {
  std::optional<segment> own = segment::anonymous();
  auto& jobs = own->find_or_construct<queue>("jobs");
  jobs.push(1);
  auto handed = jobs.pop().hand_over();
  own.reset();  // the last handle: an idle record would be released
  in_a_thread([&] {
    auto taken = handed.take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(*taken, 1);
    taken.done();
  });
}

TEST_F(handed_over_test, it_keeps_the_segment) {
  const auto before = holdings::of(getpid());
  {
    handed_over<lease<long>> handed;
    handed_over<permit> not_taken;
    in_a_thread([&] {
      auto own = segment::anonymous();
      auto& jobs = own.find_or_construct<queue>("jobs");
      jobs.push(7);
      handed = jobs.pop().hand_over();
      not_taken = own.find_or_construct<pool>("permits").acquire().hand_over();
    });
    in_a_thread([&] {
      auto taken = handed.take();
      ASSERT_TRUE(taken);
      EXPECT_EQ(*taken, 7);
      taken.done();
    });
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "") << "and lets go of it";
}

TEST_F(handed_over_test, a_forked_child_takes_and_returns_nothing) {
  auto handed = pop().hand_over();
  auto one = permits_.acquire().hand_over();
  child copy("copy", [&](agent&) {
    EXPECT_THROW(static_cast<void>(handed.take()), std::system_error);
    EXPECT_THROW(static_cast<void>(one.take()), std::system_error);
    EXPECT_TRUE(handed);
    handed = {};
    one = {};
    expect_counts(0, 1, 0);
    EXPECT_EQ(permits_.count(), 3U);
  });
  copy.expect_exit();
  handed.take().done();
  EXPECT_TRUE(one.take());
}

TEST_F(handed_over_test, only_the_holder_hands_over) {
  auto mine = pop();
  auto one = permits_.acquire();
  in_a_thread([&] {
    EXPECT_THROW(static_cast<void>(mine.hand_over()), std::system_error);
    EXPECT_THROW(static_cast<void>(one.hand_over()), std::system_error);
  });
  EXPECT_TRUE(mine);
  EXPECT_TRUE(one);
  mine.done();
  EXPECT_EQ(error_of_done(mine), errc::not_owner);
  EXPECT_THROW(static_cast<void>(mine.hand_over()), std::system_error) << "an empty one";
  static_assert(!std::is_copy_constructible_v<handed_over<permit>>);
}

}  // namespace
}  // namespace outlive::testing
