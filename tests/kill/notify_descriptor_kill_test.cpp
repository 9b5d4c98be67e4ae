// Deaths around notify descriptors: what the dead had makes them readable, and a process that dies
// or stops with one holds nobody up.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <memory>
#include <vector>

#include <outlive/notify_descriptor.hpp>

#include "scenes/accounts.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class notify_descriptor_kill_test : public ::testing::Test {
 protected:
  using queue = work_queue<long, 256>;
  static bool becomes_readable(const notify_descriptor& which) {
    pollfd due{which.fd(), POLLIN, 0};
    return poll(&due, 1, static_cast<int>(default_timeout().count())) == 1;
  }

  accounts all_{1};
  repair_registration repair_ = all_.mended_here();
  queue& jobs_ = all_.seg().find_or_construct<queue>("jobs", work_queue_options{.max_tries = 8});
  permit_pool<1>& permits_ = all_.seg().find_or_construct<permit_pool<1>>("permits", 1u);
  robust_condition_variable& ready_ =
      all_.seg().find_or_construct<robust_condition_variable>("ready");
};

TEST_F(notify_descriptor_kill_test, the_job_and_the_permit_of_a_dead_worker_are_news) {
  jobs_.push(7);
  child worker("worker", [&](agent& parent) {
    auto permit = permits_.acquire();
    auto job = jobs_.pop();
    parent.tell("inside");
    parent.pause_forever();
  });
  worker.wait_for("inside");
  auto jobs = notify_descriptor::for_jobs(jobs_);
  auto permits = notify_descriptor::for_permits(permits_);
  worker.kill();
  worker.expect_killed();
  ASSERT_TRUE(becomes_readable(jobs));
  jobs.acknowledge();
  auto job = jobs_.try_pop();
  ASSERT_TRUE(job);
  EXPECT_EQ(*job, 7);
  ASSERT_TRUE(becomes_readable(permits));
  EXPECT_TRUE(permits_.try_acquire());
}

TEST_F(notify_descriptor_kill_test, a_change_whose_notifier_died_is_news_too) {
  auto told = notify_descriptor::for_notifications(ready_);
  child notifier("notifier", [&](agent&) {
    auto x = all_[0].lock();
    x->a = 100;
    x->b = 900;
    x.unlock();
    ::raise(SIGKILL);  // before it notifies
  });
  notifier.expect_killed();
  for (;;) {
    ASSERT_TRUE(becomes_readable(told));
    told.acknowledge();
    if (all_[0].lock()->a == 100) break;
  }
}

/// The wake-up may have gone to the thread of the one that stands still.
TEST_F(notify_descriptor_kill_test, a_process_that_stops_or_dies_with_one_holds_nobody_up) {
  for (const int signal : {SIGSTOP, SIGKILL}) {
    child idle("idle", [&](agent& parent) {
      auto jobs = notify_descriptor::for_jobs(jobs_);
      parent.tell("has one");
      parent.pause_forever();
    });
    idle.wait_for("has one");
    child worker("worker", [&](agent& parent) {
      for (;;) {
        auto job = jobs_.pop();
        job.done();
        parent.tell("done");
      }
    });
    jobs_.push(1);
    worker.wait_for("done");
    idle.kill(signal);
    if (signal == SIGSTOP) {
      ASSERT_TRUE(within(default_timeout(), [&] { return task_state(idle.pid()) == 'T'; }));
    }
    for (long job = 0; job < 5; ++job) {
      jobs_.push(job);
      worker.wait_for("done");
    }
    if (signal == SIGSTOP) idle.kill();
    idle.expect_killed();
    worker.kill();
    worker.expect_killed();
  }
}

/// Workers with event loops, each killed after a few jobs: every job is done.
TEST_F(notify_descriptor_kill_test, no_job_is_lost_by_workers_that_die) {
  constexpr long jobs = 120;
  constexpr unsigned kills = 12;
  shared_object<std::array<std::atomic<unsigned>, jobs>> done;
  const auto work = [&](agent& parent) {
    auto news = notify_descriptor::for_jobs(jobs_);
    while (becomes_readable(news)) {
      news.acknowledge();
      while (auto job = jobs_.try_pop()) {
        (*done)[static_cast<std::size_t>(*job)].fetch_add(1);
        job.done();
        parent.tell("did one");
      }
    }
  };
  std::vector<std::unique_ptr<child>> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(std::make_unique<child>("worker", work));
  long pushed = 0;
  for (unsigned killed = 0; killed < kills; ++killed) {
    for (long i = 0; i < jobs / kills; ++i) jobs_.push(pushed++);
    auto& victim = workers[killed % workers.size()];
    victim->kill();
    victim->expect_killed();
    victim = std::make_unique<child>("worker", work);
  }
  ASSERT_TRUE(within(default_timeout(), [&] {
    const auto counts = jobs_.counts();
    return counts.waiting == 0 && counts.leased == 0;
  }));
  EXPECT_EQ(jobs_.dead_letters(), 0u);
  for (long i = 0; i < jobs; ++i) EXPECT_GE((*done)[static_cast<std::size_t>(i)].load(), 1u) << i;
  for (const auto& each : workers) {
    each->kill();
    each->expect_killed();
  }
}

}  // namespace
}  // namespace outlive::testing
