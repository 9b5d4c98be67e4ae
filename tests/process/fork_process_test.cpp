// Locks and fork: a child holds nothing that its parent holds, and has a record of its own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/report_copy.hpp"
#include "scenes/thrown.hpp"

namespace outlive::testing {
namespace {

class fork_process_test : public ::testing::Test {
 protected:
  accounts all_{3};
};

TEST_F(fork_process_test, a_child_of_the_holder_holds_nothing) {
  auto held = all_[0].lock();
  child forked("forked", [&](agent&) {
    std::error_code error;
    all_.mutex().unlock(error);
    EXPECT_EQ(error, errc::not_owner);
    EXPECT_EQ(thrown::by([&] { held.unlock(); }).code, errc::not_owner);
    EXPECT_FALSE(all_.mutex().try_lock());
    EXPECT_FALSE(all_.mutex().try_lock_for(milliseconds(300)));
    EXPECT_FALSE(all_.mutex().recovered());
    all_.mutex(1).lock();  // its own
    all_.mutex(1).unlock();
    std::error_code again;
    all_.mutex().unlock(again);
    EXPECT_EQ(again, errc::not_owner) << "with a record of its own, too";
  });
  forked.expect_exit(0);
  EXPECT_TRUE(held);
  EXPECT_FALSE(try_to_survive(all_, 1, default_timeout()).error);
  child other("other", [&](agent&) {
    EXPECT_FALSE(all_.mutex().try_lock()) << "the child has given it away";
  });
  other.expect_exit(0);
  held.unlock();
  expect_usable(all_);
}

TEST_F(fork_process_test, a_guard_that_ends_in_the_child_gives_nothing_back) {
  auto held = std::make_unique<guarded<account>::guard>(all_[0].lock());
  child forked("forked", [&](agent&) { held.reset(); });
  forked.expect_exit(0);
  child other("other", [&](agent&) { EXPECT_FALSE(all_.mutex().try_lock()); });
  other.expect_exit(0);
  held.reset();
  expect_usable(all_);
}

// What std::unique_lock does is the standard library's; the guide says so.
TEST_F(fork_process_test, a_unique_lock_that_ends_in_the_child_ends_the_child) {
  std::unique_lock held(all_.mutex());
  child terminated("terminated", [&](agent&) {
    std::set_terminate([] { _exit(7); });
    held = {};
  });
  terminated.expect_exit(7);
  child released("released", [&](agent&) {
    held.release();
    held = {};
    EXPECT_FALSE(all_.mutex().try_lock());
  });
  released.expect_exit(0);
  held.unlock();
  expect_usable(all_);
}

TEST_F(fork_process_test, the_end_of_a_childs_child_is_no_owners_death) {
  // Each of a line of children inherits what stands in its parent's memory, and ends; the first one
  // still holds.
  const auto repair = all_.mended_here();
  all_.mutex(0).lock();
  child first("first", [&](agent&) {
    all_.mutex(1).lock();
    child second("second", [&](agent&) {
      all_.mutex(2).lock();
      child third("third", [&](agent&) { _exit(0); });
      third.expect_exit(0);
      all_.mutex(2).unlock();
    });
    second.expect_exit(0);
    std::error_code error;
    all_.mutex(1).unlock(error);
    EXPECT_FALSE(error) << error.message();
  });
  first.expect_exit(0);
  EXPECT_TRUE(recover(all_.seg()).empty());
  std::error_code error;
  all_.mutex(0).unlock(error);
  EXPECT_FALSE(error) << error.message();
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(fork_process_test, a_child_has_a_record_and_a_name_of_its_own) {
  note(all_.seg(), 1);
  all_.mutex(1).lock();
  child owner("owner", [&](agent&) {
    all_.lock_and_tear(0);
    EXPECT_EQ(all_.seg().threads_in_use(), 2u);
    _exit(0);
  });
  owner.expect_exit(0);
  report_copy report;
  const auto repair =
      on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
        report = death;
        return all_.mend(x, death);
      });
  { auto x = all_[0].lock(); }
  EXPECT_EQ(report.owner.pid, owner.pid());
  EXPECT_EQ(report.owner.note, 0u) << "its parent's note";
  EXPECT_EQ(report.held_count, 0u) << "what its parent holds";
  all_.mutex(1).unlock();
}

/// Locks, registers, attaches and dies holding, on four threads, and forks children all the while.
void fork_in_the_middle(const accounts& all) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    while (!stop.load()) {
      all.mutex(1).lock();
      all.mutex(1).unlock();
    }
  });
  threads.emplace_back([&] {
    while (!stop.load())
      auto registration = on_owner_death(all.seg(), "another class", always_consistent);
  });
  threads.emplace_back([&] {
    while (!stop.load()) std::thread([&] { note(all.seg(), 1); }).join();
  });
  threads.emplace_back([&] {
    const auto repair = on_owner_death(all.mutex(2), always_consistent);
    while (!stop.load()) {
      std::thread([&] { all.mutex(2).lock(); }).join();
      if (all.mutex(2).try_lock()) all.mutex(2).unlock();
    }
  });
  for (int i = 0; i < 60 && !::testing::Test::HasFailure(); ++i) {
    child forked("forked", [&](agent&) {
      all.mutex(0).lock();
      all.mutex(0).unlock();
      const auto registration = on_owner_death(all.mutex(0), always_consistent);
      EXPECT_TRUE(all.mutex(1).try_lock_for(default_timeout())) << all.who_holds_what();
      all.mutex(1).unlock();
    });
    forked.expect_exit(0);
  }
  stop.store(true);
  for (auto& each : threads) each.join();
}

TEST_F(fork_process_test, a_process_can_fork_while_its_threads_lock_register_and_repair) {
  // Whatever a thread is in the middle of at the fork, the child's copy of the library must not be
  // stuck in it. In a process of its own, because the library never lets go of what a thread had
  // that ended with a lock in hand.
  child process("process", [&](agent&) { fork_in_the_middle(all_); });
  EXPECT_TRUE(process.wait(6 * default_timeout()).exited_with(0));
  const auto repair = on_owner_death(all_.mutex(2), always_consistent);
  recover(all_.seg());
  for (unsigned i = 0; i < 3; ++i) {
    auto x = all_[i].try_lock_for(default_timeout());
    EXPECT_TRUE(x) << i << '\n' << all_.who_holds_what();
  }
}

}  // namespace
}  // namespace outlive::testing
