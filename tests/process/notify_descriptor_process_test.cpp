// Descriptors that become readable when another process pushes, releases or notifies.
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <utility>

#include <outlive/notify_descriptor.hpp>

#include "companions/notify_access.hpp"
#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class notify_descriptor_process_test : public ::testing::Test {
 protected:
  using queue = work_queue<long, 4>;
  static bool is_readable(const notify_descriptor& which, milliseconds limit) {
    pollfd due{which.fd(), POLLIN, 0};
    return poll(&due, 1, static_cast<int>(limit.count())) == 1;
  }
  static bool becomes_readable(const notify_descriptor& which) {
    return is_readable(which, default_timeout());
  }
  static bool is_readable(const notify_descriptor& which) {
    return is_readable(which, milliseconds(0));
  }
  /// The thread has seen that there is nothing: it looks again only when somebody wakes it.
  static void make_quiet(notify_descriptor& which) {
    which.acknowledge();
    // looks of the thread that were under way may have made it readable again
    while (is_readable(which, milliseconds(20))) which.acknowledge();
  }

  /// Only a notification makes it readable, not the end of a slice.
  [[nodiscard]] notify_descriptor without_slices() const {
    return detail::notify_access::for_notifications(ready_, std::chrono::hours(1));
  }

  accounts all_{1};
  queue& jobs_ = all_.seg().find_or_construct<queue>("jobs");
  permit_pool<2>& permits_ = all_.seg().find_or_construct<permit_pool<2>>("permits", 1u);
  robust_condition_variable& ready_ =
      all_.seg().find_or_construct<robust_condition_variable>("ready");
};

TEST_F(notify_descriptor_process_test, a_push_of_another_process_makes_it_readable) {
  auto jobs = notify_descriptor::for_jobs(jobs_);
  EXPECT_FALSE(is_readable(jobs, milliseconds(20)));
  for (long round = 0; round < 3; ++round) {
    child pusher("pusher", [&](agent&) { jobs_.push(round); });
    ASSERT_TRUE(becomes_readable(jobs));
    pusher.expect_exit(0);
    EXPECT_TRUE(is_readable(jobs)) << "nobody has acknowledged it";
    jobs.acknowledge();
    auto job = jobs_.try_pop();
    ASSERT_TRUE(job);
    EXPECT_EQ(*job, round);
    job.done();
    make_quiet(jobs);
  }
}

TEST_F(notify_descriptor_process_test, it_becomes_readable_again_as_long_as_something_is_left) {
  jobs_.push(1);
  jobs_.push(2);
  auto jobs = notify_descriptor::for_jobs(jobs_);
  for (int left = 2; left > 0; --left) {
    ASSERT_TRUE(becomes_readable(jobs)) << left;
    jobs.acknowledge();
    auto job = jobs_.try_pop();
    ASSERT_TRUE(job);
    job.done();
  }
  make_quiet(jobs);
}

TEST_F(notify_descriptor_process_test, the_end_of_a_closed_queue_is_news_and_its_leases_are_not) {
  jobs_.push(1);
  auto jobs = notify_descriptor::for_jobs(jobs_);
  auto job = jobs_.pop();
  jobs_.close();
  make_quiet(jobs);
  job.done();
  EXPECT_TRUE(becomes_readable(jobs));
}

TEST_F(notify_descriptor_process_test, a_delayed_job_makes_it_readable_when_its_time_has_come) {
  jobs_.push(1);
  auto jobs = notify_descriptor::for_jobs(jobs_);
  const auto due = std::chrono::steady_clock::now() + milliseconds(100);
  jobs_.pop().give_back(milliseconds(100));
  do {
    ASSERT_TRUE(becomes_readable(jobs));
    jobs.acknowledge();
  } while (std::chrono::steady_clock::now() < due);
  ASSERT_TRUE(becomes_readable(jobs));
  auto job = jobs_.try_pop();
  ASSERT_TRUE(job);
  job.done();
}

TEST_F(notify_descriptor_process_test, a_slot_a_permit_and_a_notification_make_theirs_readable) {
  for (long i = 0; i < 4; ++i) jobs_.push(i);
  auto job = jobs_.pop();
  auto permit = permits_.acquire();
  auto slots = notify_descriptor::for_slots(jobs_);
  auto permits = notify_descriptor::for_permits(permits_);
  EXPECT_FALSE(is_readable(slots, milliseconds(20)));
  EXPECT_FALSE(is_readable(permits, milliseconds(20)));
  job.done();
  EXPECT_TRUE(becomes_readable(slots));
  permit.release();
  EXPECT_TRUE(becomes_readable(permits));

  auto told = without_slices();
  make_quiet(told);
  child notifier("notifier", [&](agent&) { ready_.notify_all(); });
  EXPECT_TRUE(becomes_readable(told));
  notifier.expect_exit(0);
}

/// Between acknowledge() and the look at the predicate a notification must not be lost.
TEST_F(notify_descriptor_process_test, what_is_notified_after_acknowledge_is_not_lost) {
  auto told = without_slices();
  make_quiet(told);
  for (int round = 0; round < 200; ++round) {
    told.acknowledge();
    ready_.notify_one();
    ASSERT_TRUE(becomes_readable(told)) << round;
  }
}

#ifndef __SANITIZE_THREAD__  // which takes the child's thread for that of the parent
TEST_F(notify_descriptor_process_test, a_forked_child_has_none_and_leaves_its_parents_alone) {
  auto jobs = std::make_optional(notify_descriptor::for_jobs(jobs_));
  jobs_.push(1);
  ASSERT_TRUE(becomes_readable(*jobs));
  child copy("copy", [&](agent&) {
    EXPECT_EQ(jobs->fd(), -1);
    jobs->acknowledge();
    jobs.reset();  // waits for no thread
    auto own = notify_descriptor::for_jobs(jobs_);
    EXPECT_TRUE(becomes_readable(own));
  });
  copy.expect_exit(0);
  EXPECT_TRUE(is_readable(*jobs)) << "the child has emptied it";
}
#endif

TEST_F(notify_descriptor_process_test, its_thread_runs_no_handler_of_the_program) {
  static std::atomic<pid_t> handled{0};
  handled = 0;
  auto jobs = notify_descriptor::for_jobs(jobs_);
  struct sigaction action {};
  action.sa_handler = [](int) { handled = gettid(); };
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  sigset_t mine, before;
  sigemptyset(&mine);
  sigaddset(&mine, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &mine, &before);
  ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
  EXPECT_EQ(handled, 0) << "another thread than this one took it";
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(handled, gettid());
}

TEST_F(notify_descriptor_process_test, leaves_no_descriptor_and_no_thread_behind) {
  const auto before = holdings::of(getpid());
  for (int i = 0; i < 3; ++i) {
    auto jobs = notify_descriptor::for_jobs(jobs_);
    auto told = notify_descriptor::for_notifications(ready_);
    told = std::move(jobs);
    jobs_.push(i);
    EXPECT_TRUE(becomes_readable(told));
    jobs_.pop().done();
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST_F(notify_descriptor_process_test, outside_of_a_segment_there_is_none) {
  alignas(64) static char bytes[sizeof(robust_condition_variable)]{};
  auto& nothing = reinterpret_cast<robust_condition_variable&>(bytes);
  EXPECT_EQ(thrown::by([&] { (void)notify_descriptor::for_notifications(nothing); }).code,
            errc::damaged);
}

}  // namespace
}  // namespace outlive::testing
