// Leases, dead letters and permits that outlive the thread that got them, and the segment's last
// handle: they are void, and can be read and ended.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "support/child.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

using queue = work_queue<long, 4>;
using pool = permit_pool<4>;

class outlived_holds_test : public ::testing::Test {
 protected:
  // Runs `work` in a thread that ends before the segment's last handle.
  static void in_a_closed_segment(const std::function<void(segment&)>& work) {
    auto seg = segment::anonymous();
    std::thread([&] { work(seg); }).join();
  }
  static lease<long> pop_42(segment& seg) {
    auto& jobs = seg.find_or_construct<queue>("jobs");
    jobs.push(42);
    return jobs.pop();
  }
  static permit one_of(segment& seg) { return seg.find_or_construct<pool>("pool").acquire(); }
};

TEST_F(outlived_holds_test, lease_reads_its_job) {
  const auto before = holdings::of(getpid());
  {
    lease<long> job;
    in_a_closed_segment([&](segment& seg) { job = pop_42(seg); });
    ASSERT_TRUE(job);
    EXPECT_EQ(*job, 42);
    EXPECT_EQ(job.tries(), 1U);
    EXPECT_TRUE(job.died_on_it().empty());
    EXPECT_THROW(job.done(), std::system_error) << "it is void";
    EXPECT_EQ(*job, 42);
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "") << "the lease's end lets go of it";
}

TEST_F(outlived_holds_test, dead_letter_reads_its_job) {
  const auto before = holdings::of(getpid());
  {
    dead_letter<long> letter;
    in_a_closed_segment([&](segment& seg) {
      auto& jobs = seg.find_or_construct<queue>("jobs", work_queue_options{.max_tries = 1});
      jobs.push(42);
      jobs.pop().fail();
      letter = jobs.pop_dead_letter();
    });
    ASSERT_TRUE(letter);
    EXPECT_EQ(*letter, 42);
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST_F(outlived_holds_test, the_last_of_several_lets_go_of_the_segment) {
  const auto before = holdings::of(getpid());
  std::vector<lease<long>> leases;
  permit one;
  in_a_closed_segment([&](segment& seg) {
    for (int i = 0; i < 3; ++i) leases.push_back(pop_42(seg));
    one = one_of(seg);
  });
  leases.erase(leases.begin());
  leases.pop_back();
  one = permit();
  EXPECT_EQ(*leases.front(), 42);
  EXPECT_NE(holdings::of(getpid()).added_since(before), "");
  leases.clear();
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST_F(outlived_holds_test, an_older_segment_does_not_end_for_a_permit_of_a_later_one) {
  permit older;
  in_a_closed_segment([&](segment& seg) { older = one_of(seg); });
  // Were the older mapping gone, the later one would most likely lie in its place.
  auto seg = segment::anonymous();
  auto& later = seg.find_or_construct<pool>("pool");
  const permit mine = later.acquire();
  const auto before = later.count();
  older = permit();
  EXPECT_EQ(later.count(), before);
}

TEST_F(outlived_holds_test, a_thread_that_died_in_a_lock_leaves_its_lease_readable) {
  const auto before = holdings::of(getpid());
  {
    lease<long> job;
    in_a_closed_segment([&](segment& seg) {
      job = pop_42(seg);
      seg.find_or_construct<robust_mutex>("mutex", "class").lock();
    });
    static_cast<void>(segment::anonymous());  // mappings that are kept for the dead go here
    ASSERT_TRUE(job);
    EXPECT_EQ(*job, 42);
  }
  static_cast<void>(segment::anonymous());
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST_F(outlived_holds_test,
       a_forked_childs_copy_reads_the_job_when_the_child_has_closed_the_segment) {
  std::optional<segment> seg = segment::anonymous();
  auto job = std::make_optional(pop_42(*seg));
  child copy("copy", [&](agent&) {
    seg.reset();
    // The child's first use of any segment lets go of what was its parent's.
    auto other = segment::anonymous();
    const permit own = one_of(other);
    EXPECT_EQ(**job, 42);
    job.reset();
  });
  copy.expect_exit();
  EXPECT_EQ(**job, 42);
  job->done();
}

// Ended in the wrong thread, while the right one lives: reported, and gone. What the right thread
// still holds by other objects keeps the segment.
TEST_F(outlived_holds_test, what_was_lost_by_misuse_does_not_keep_the_segment) {
  const misuse_handler former = set_misuse_handler([](const misuse&) {});
  const auto end_elsewhere = [](auto& hold) { std::thread([&] { hold = {}; }).join(); };
  const auto before = holdings::of(getpid());
  lease<long> kept;
  in_a_closed_segment([&](segment& seg) {
    auto lost = pop_42(seg);
    auto also_lost = pop_42(seg);
    kept = pop_42(seg);
    auto one = one_of(seg);
    end_elsewhere(lost);
    end_elsewhere(one);
    end_elsewhere(also_lost);
  });
  ASSERT_TRUE(kept);
  EXPECT_EQ(*kept, 42);
  kept = {};
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
  in_a_closed_segment([&](segment& seg) {
    auto lost = pop_42(seg);
    end_elsewhere(lost);
  });
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
  set_misuse_handler(former);
}

// The handler is called while the right thread lives, and returns after its end.
TEST_F(outlived_holds_test, misuse_may_be_reported_until_the_thread_has_ended) {
  static std::thread* holder = nullptr;
  static std::promise<void>* may_end = nullptr;
  const misuse_handler former = set_misuse_handler([](const misuse&) {
    may_end->set_value();
    holder->join();
  });
  const auto before = holdings::of(getpid());
  {
    auto seg = segment::anonymous();
    std::promise<void> end;
    std::promise<lease<long>> popped;
    std::thread first([&] {
      popped.set_value(pop_42(seg));
      end.get_future().wait();
    });
    holder = &first;
    may_end = &end;
    auto job = popped.get_future().get();
    job = {};
    EXPECT_FALSE(first.joinable()) << "the handler was not called";
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
  set_misuse_handler(former);
}

TEST_F(outlived_holds_test, a_forked_childs_copy_ends_before_the_child_uses_a_segment) {
  auto seg = segment::anonymous();
  std::optional<lease<long>> job;
  job.emplace(pop_42(seg));
  auto one = std::make_optional(one_of(seg));
  child copy("copy", [&](agent&) {
    job.reset();
    one.reset();
    EXPECT_EQ(seg.find<queue>("jobs")->leased(), 1U);
  });
  copy.expect_exit();
  EXPECT_EQ(seg.find<queue>("jobs")->leased(), 1U);
  job->done();
  one->release();
}

}  // namespace
}  // namespace outlive::testing
