// Repairs that do not come back the way they were called: they fork, or end their thread.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/cancellation.hpp"
#include "scenes/report_copy.hpp"
#include "scenes/thrown.hpp"

namespace outlive::testing {
namespace {

class repair_ends_process_test : public ::testing::Test {
 protected:
  repair_registration doing(
      const std::function<repair_result(account&, const owner_death&)>& what) {
    return on_owner_death<account>(all_.seg(), "account",
                                   [this, what](account& x, const owner_death& death) {
                                     ++started_;
                                     return what(x, death);
                                   });
  }
  /// After whatever the repair did: a process with a sound one gets the lock.
  void expect_the_next_one_repairs() {
    const auto repair = all_.mended_here();
    expect_survivor(all_, 0, true);
    EXPECT_EQ(all_.repairs(), 1u);
    expect_usable(all_);
    EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  }

  accounts all_{3};
  unsigned started_ = 0;
};

TEST_F(repair_ends_process_test, that_forks_goes_on_in_the_parent_and_is_refused_in_the_child) {
  leave_holding(all_);
  shared_value<int> child_error;
  child heir("heir", [&](agent& parent) {
    const pid_t self = getpid();
    pid_t forked = 0;
    const auto forks = doing([&](account& x, const owner_death&) {
      forked = fork();
      if (forked == 0) return repaired;  // claims what only its parent may claim
      x.mend();
      return repaired;
    });
    std::error_code error;
    all_.mutex().lock(error);
    if (getpid() != self) {
      child_error.store(error.value());
      std::error_code unlock_error;
      all_.mutex().unlock(unlock_error);
      const bool refused = unlock_error == errc::not_owner && !all_.mutex().recovered();
      _exit(refused ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(forked, &status, 0), forked);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_FALSE(error) << error.message();
    EXPECT_TRUE(all_.mutex().recovered());
    EXPECT_TRUE(all_.value().whole());
    parent.tell("inside");
    parent.await("leave");
    all_.mutex().unlock();
  });
  heir.wait_for("inside");
  EXPECT_EQ(child_error.load(), static_cast<int>(errc::forked_in_repair));
  EXPECT_FALSE(all_.mutex().try_lock()) << "the child has given its parent's lock away";
  heir.tell("leave");
  heir.expect_exit(0);
  expect_usable(all_);
}

TEST_F(repair_ends_process_test,
       a_forked_childs_error_is_thrown_and_the_child_can_use_the_segment) {
  leave_holding(all_);
  child heir("heir", [&](agent&) {
    const pid_t self = getpid();
    pid_t forked = 0;
    const auto forks = doing([&](account& x, const owner_death&) -> repair_result {
      forked = fork();
      if (forked == 0) throw std::runtime_error("of the child");
      x.mend();
      return repaired;
    });
    const thrown error = thrown::by([&] { all_.mutex().lock(); });
    if (getpid() != self) {
      if (error.code != errc::forked_in_repair) _exit(1);
      std::error_code in_repair;
      all_.mutex(1).lock(in_repair);  // it is in no repair
      if (in_repair) _exit(2);
      all_.mutex(1).unlock();
      if (all_.mutex(0).try_lock()) _exit(3);
      _exit(0);
    }
    EXPECT_FALSE(error.code) << error.messages;
    int status = 0;
    EXPECT_EQ(waitpid(forked, &status, 0), forked);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_TRUE(all_.value().whole());
    all_.mutex().unlock();
  });
  heir.expect_exit(0);
  expect_usable(all_);
}

TEST_F(repair_ends_process_test,
       a_repair_that_forks_and_whose_parent_dies_is_repaired_by_the_next) {
  leave_holding(all_);
  child heir("heir", [&](agent&) {
    const auto forks = doing([&](account&, const owner_death&) {
      const pid_t forked = fork();
      if (forked == 0) return repaired;  // returns into a lock() that is refused
      int status = 0;
      waitpid(forked, &status, 0);
      _exit(0);  // the parent ends in its repair
    });
    std::error_code error;
    all_.mutex().lock(error);
    _exit(error == errc::forked_in_repair ? 0 : 1);
  });
  heir.expect_exit(0);
  EXPECT_FALSE(all_.value().whole());
  expect_the_next_one_repairs();
}

class ends_its_thread_test : public repair_ends_process_test,
                             public ::testing::WithParamInterface<bool> {};

TEST_P(ends_its_thread_test, as_an_owners_death) {
  // By pthread_exit, or by a cancellation: the process lives on, and the next heir knows both.
  leave_holding(all_);
  shared_object<report_copy> report;
  shared_value<pid_t> former;
  child process("process", [&](agent& parent) {
    std::thread heir([&] {
      const auto exits = doing([&](account&, const owner_death&) -> repair_result {
        former.store(gettid());
        if (!GetParam()) pthread_exit(nullptr);
        pthread_cancel(pthread_self());
        end_if_cancelled();
        ADD_FAILURE() << "not cancelled";
        return repaired;
      });
      std::error_code error;
      all_.mutex().lock(error);
      ADD_FAILURE() << "lock() returned: " << error.message();
    });
    heir.join();
    const auto repair =
        on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
          *report = death;
          return all_.mend(x, death);
        });
    auto x = all_[0].try_lock_for(default_timeout());
    ASSERT_TRUE(x) << all_.who_holds_what();
    EXPECT_TRUE(x.recovered());
    parent.tell("inside");
  });
  process.wait_for("inside");
  process.expect_exit(0);
  EXPECT_EQ(report->attempt, 2u);
  ASSERT_TRUE(report->has_former_heir);
  EXPECT_EQ(report->former_heir.pid, process.pid());
  EXPECT_EQ(report->former_heir.tid, former.load());
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

INSTANTIATE_TEST_SUITE_P(by, ends_its_thread_test, ::testing::Bool(), [](const auto& test) {
  return test.param ? "cancellation" : "pthread_exit";
});

}  // namespace
}  // namespace outlive::testing
