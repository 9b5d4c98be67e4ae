// Leases with a time limit whose holder is stopped, and goes on when its job is another's.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <string>
#include <system_error>

#include <outlive/outlive.hpp>

#include "support/bounded.hpp"
#include "support/child.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;

struct large_job {
  long first;
  char rest[2000];
  long last;
};
using queue = work_queue<large_job, 2>;

class work_queue_limit_process_test : public ::testing::Test {
 protected:
  void push(long number) { queue_.push({number, {}, number}); }
  /// Stops the child, and returns when it has stopped.
  static void stop(child& process) {
    process.kill(SIGSTOP);
    ASSERT_TRUE(within(default_timeout(), [&] {
      siginfo_t info{};
      const auto id = static_cast<id_t>(process.pid());
      return waitid(P_PID, id, &info, WSTOPPED | WNOWAIT | WNOHANG) == 0 &&
             info.si_pid == process.pid();
    }));
  }
  static std::string end_of(lease<large_job>& one) {
    try {
      one.done();
      return "done";
    } catch (const std::system_error& error) {
      return error.code() == errc::lease_expired ? "refused" : error.what();
    }
  }
  /// A worker that has popped one job, and ends it when it is told so.
  child::body worker() {
    return [this](agent& parent) {
      auto mine = queue_.pop();
      parent.tell("has " + std::to_string(mine->first));
      parent.await("go on");
      const long number = mine->first;
      if (mine->last != number) parent.fail("it reads two jobs");
      parent.tell(end_of(mine) + " " + std::to_string(number));
    };
  }

  segment seg_ = segment::anonymous();
  queue& queue_ = seg_.find_or_construct<queue>("jobs", work_queue_options{.lease_limit = 30ms});
};

TEST_F(work_queue_limit_process_test, a_stopped_worker_loses_its_job_and_damages_no_other) {
  push(1);
  child stopped("stopped worker", worker());
  stopped.wait_for("has 1");
  stop(stopped);
  auto again = queue_.try_pop_for(default_timeout());
  ASSERT_TRUE(again) << "its time is over";
  EXPECT_EQ(again->first, 1);
  EXPECT_EQ(again.tries(), 2u);
  EXPECT_TRUE(again.died_on_it().empty());
  ASSERT_EQ(again.expired_on_it().size(), 1u);
  EXPECT_EQ(again.expired_on_it()[0].pid, stopped.pid());
  again.extend(1h);
  again.done();
  push(2);  // into both slots: also the one that the stopped worker had
  push(3);
  auto second = queue_.pop();
  second.extend(1h);
  auto third = queue_.pop();
  third.extend(1h);
  stopped.kill(SIGCONT);
  stopped.tell("go on");
  stopped.wait_for("refused 1");
  stopped.expect_exit();
  EXPECT_EQ(queue_.leased(), 2u);
  second.done();
  third.done();
  EXPECT_EQ(queue_.waiting() + queue_.leased() + queue_.dead_letters(), 0u);
}

TEST_F(work_queue_limit_process_test, a_worker_that_dies_after_its_time_is_not_counted_as_dead) {
  push(1);
  child stopped("stopped worker", worker());
  stopped.wait_for("has 1");
  stop(stopped);
  auto again = queue_.try_pop_for(default_timeout());
  ASSERT_TRUE(again);
  stopped.kill();
  stopped.expect_killed();
  again.extend(1h);
  again.fail();
  auto third = queue_.pop();
  EXPECT_EQ(third.tries(), 3u);
  EXPECT_TRUE(third.died_on_it().empty());
  EXPECT_EQ(third.expired_on_it().size(), 1u);
}

TEST_F(work_queue_limit_process_test, a_stopped_worker_that_goes_on_in_time_has_its_job) {
  auto& slow = seg_.find_or_construct<queue>("slow", work_queue_options{.lease_limit = 1h});
  slow.push({7, {}, 7});
  child stopped("stopped worker", [&](agent& parent) {
    auto mine = slow.pop();
    parent.tell("has it");
    parent.await("go on");
    parent.tell(end_of(mine));
  });
  stopped.wait_for("has it");
  stop(stopped);
  EXPECT_FALSE(slow.try_pop());
  stopped.kill(SIGCONT);
  stopped.tell("go on");
  stopped.wait_for("done");
  stopped.expect_exit();
}

// The copy of a lease in a forked child is void, and its end is silent, whatever the time.
TEST_F(work_queue_limit_process_test, a_forked_child_has_none_of_its_parents_leases) {
  push(1);
  auto mine = queue_.pop();
  mine.extend(1h);
  child forked("forked", [&](agent& parent) {
    auto copy = std::move(mine);
    if (copy->first != 1) parent.fail("it cannot read the job");
    try {
      copy.done();
      parent.fail("done() was not refused");
    } catch (const std::system_error& error) {
      if (error.code() != errc::not_owner) parent.fail(error.what());
    }
  });
  forked.expect_exit();
  EXPECT_EQ(queue_.leased(), 1u);
  mine.done();
}

}  // namespace
}  // namespace outlive::testing
