// Owners that hang, and threads that wait for each other: found, told once, and ended by force.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"
#include "scenes/watching.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class supervisor_hung_kill_test : public ::testing::Test {
 protected:
  child::body holder() {
    return [this](agent& parent) {
      all_.lock_and_tear();
      parent.tell("inside");
      parent.await("let go");
      all_.value().mend();
      all_.mutex().unlock();
      parent.tell("out");
      parent.pause_forever();
    };
  }
  /// Takes one, and when it is told to, another one, and gives back neither.
  child::body embrace(unsigned first, unsigned second) {
    return [this, first, second](agent& parent) {
      all_.mutex(first).lock();
      parent.tell("first");
      parent.await("go on");
      all_.mutex(second).lock();
      parent.tell("both");
      parent.pause_forever();
    };
  }
  void expect_hung(watching& watch) {
    watch->on_hung(milliseconds(20), [this](const hung_owner& owner) { hung_.push_back(owner); });
    ASSERT_TRUE(watch.until([&] { return !hung_.empty(); }));
  }

  accounts all_{4};
  repair_registration repair_ = all_.mended_here();
  std::vector<hung_owner> hung_;
};

TEST_F(supervisor_hung_kill_test,
       a_holder_that_does_not_let_go_is_told_once_with_all_that_is_known) {
  child owner("owner", holder());
  owner.wait_for("inside");
  child waiter("waiter", [&](agent&) { all_.mutex().lock(), all_.mutex().unlock(); });
  ASSERT_TRUE(within(default_timeout(), [&] { return all_.has_waited(waiter.pid()); }));
  owner.kill(SIGSTOP);
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(owner.pid()) == 'T'; }));
  supervisor_options options = sweeping_often();
  options.stacks = [](pid_t tid) {
    return thread_stack{{stack_frame{static_cast<std::uint64_t>(tid), 0, "", "f", 0, ""}}, ""};
  };
  watching watch(all_.seg(), options);
  expect_hung(watch);
  const hung_owner& found = hung_.at(0);
  EXPECT_TRUE(found.who.known);
  EXPECT_EQ(found.who.tid, owner.pid());
  EXPECT_EQ(found.held.mutex, &all_.mutex());
  EXPECT_EQ(found.held.mutex_name, "account 0");
  EXPECT_NE(found.held.acquired_at.module.find("supervisor_hung_kill_test"), std::string::npos)
      << found.held.acquired_at.module;
  EXPECT_GE(found.at_least, milliseconds(20));
  EXPECT_EQ(found.condition, thread_condition::stopped) << to_string(found.condition);
  EXPECT_FALSE(found.repairing);
  ASSERT_EQ(found.stack.frames.size(), 1u);
  EXPECT_EQ(found.stack.frames[0].address, static_cast<std::uint64_t>(owner.pid()));
  ASSERT_EQ(found.waiters.size(), 1u);
  EXPECT_EQ(found.waiters[0].tid, waiter.pid());
  int looks = 0;
  watch.until([&] { return ++looks > 20; });
  EXPECT_EQ(hung_.size(), 1u);
  owner.kill(SIGCONT);
  owner.tell("let go");
  owner.wait_for("out");
  waiter.expect_exit(0);
  owner.kill();
  owner.expect_killed();
}

TEST_F(supervisor_hung_kill_test, kill_and_recover_ends_the_process_and_frees_the_mutex) {
  child owner("owner", holder());
  owner.wait_for("inside");
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  EXPECT_EQ(hung_.at(0).stack.frames.size(), 0u);
  EXPECT_NE(hung_[0].stack.problem, "");
  const auto death = watch->kill_and_recover(hung_[0]);
  ASSERT_TRUE(death);
  EXPECT_EQ(death->pid, owner.pid());
  EXPECT_EQ(death->signal, SIGKILL);
  ASSERT_EQ(death->recovered.size(), 1u);
  EXPECT_EQ(death->recovered[0].outcome, recovery_outcome::repaired);
  expect_usable(all_);
  ASSERT_TRUE(watch.until_dead(owner.pid())) << "on_death was not told";
  EXPECT_EQ(std::count_if(watch.deaths.begin(), watch.deaths.end(),
                          [&](const auto& each) { return each.pid == owner.pid(); }),
            1);
  EXPECT_FALSE(watch->kill_and_recover(hung_[0])) << "it is dead already";
  owner.expect_killed();
}

TEST_F(supervisor_hung_kill_test, kill_and_recover_works_in_the_callback) {
  child owner("owner", holder());
  owner.wait_for("inside");
  watching watch(all_.seg(), sweeping_often());
  std::optional<participant_death> death;
  watch->on_hung(milliseconds(20),
                 [&](const hung_owner& found) { death = watch->kill_and_recover(found); });
  ASSERT_TRUE(watch.until([&] { return death.has_value(); }));
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  owner.expect_killed();
  expect_usable(all_);
}

TEST_F(supervisor_hung_kill_test, who_has_let_go_meanwhile_is_not_killed) {
  child owner("owner", holder());
  owner.wait_for("inside");
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  owner.tell("let go");
  owner.wait_for("out");
  EXPECT_FALSE(watch->kill_and_recover(hung_.at(0)));
  EXPECT_FALSE(owner.ended());
  owner.kill();
  owner.expect_killed();
}

TEST_F(supervisor_hung_kill_test, the_own_process_is_not_killed) {
  all_.mutex().lock();
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  EXPECT_EQ(thrown::by([&] { watch->kill_and_recover(hung_.at(0)); }).code,
            std::errc::invalid_argument);
  all_.mutex().unlock();
}

TEST_F(supervisor_hung_kill_test, a_threshold_that_is_not_positive_is_refused) {
  supervisor watch(all_.seg());
  EXPECT_EQ(thrown::by([&] { watch.on_hung(milliseconds(0), [](const hung_owner&) {}); }).code,
            std::errc::invalid_argument);
}

TEST_F(supervisor_hung_kill_test, an_heir_that_hangs_in_its_repair) {
  leave_holding(all_);
  child heir("heir", [&](agent& parent) {
    const auto hangs = on_owner_death(all_.mutex(), [&](const owner_death&) -> repair_result {
      parent.tell("repairing");
      parent.pause_forever();
    });
    all_.mutex().lock();
  });
  heir.wait_for("repairing");
  watching watch(all_.seg(), sweeping_often());
  expect_hung(watch);
  EXPECT_TRUE(hung_.at(0).repairing);
  EXPECT_EQ(hung_[0].who.pid, heir.pid());
  ASSERT_TRUE(watch->kill_and_recover(hung_[0]));
  heir.expect_killed();
  expect_usable(all_);
}

TEST_F(supervisor_hung_kill_test, processes_that_wait_for_each_other_are_told_once) {
  std::vector<std::unique_ptr<child>> ring;
  for (unsigned i = 0; i < 3; ++i) {
    ring.push_back(std::make_unique<child>("embracing", embrace(i, (i + 1) % 3)));
    ring.back()->wait_for("first");
  }
  watching watch(all_.seg(), sweeping_often());
  std::vector<deadlock> found;
  watch->on_deadlock([&](const deadlock& each) { found.push_back(each); });
  int looks = 0;
  watch.until([&] { return ++looks > 5; });
  EXPECT_TRUE(found.empty()) << to_string(found[0]);
  for (const auto& each : ring) each->tell("go on");
  ASSERT_TRUE(watch.until([&] { return !found.empty(); }));
  ASSERT_EQ(found[0].threads.size(), 3u) << to_string(found[0]);
  for (const deadlocked_thread& each : found[0].threads) {
    for (unsigned i = 0; i < 3; ++i) {
      if (each.who.pid != ring[i]->pid()) continue;
      EXPECT_EQ(each.waits_for.mutex, &all_.mutex((i + 1) % 3));
      EXPECT_NE(each.waits_for.acquired_at.module.find("supervisor_hung_kill_test"),
                std::string::npos)
          << each.waits_for.acquired_at.module;
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(
        found[0].threads[i].waits_for.mutex_name,
        "account " + std::to_string(
                         (all_.index_of(*found[0].threads[(i + 2) % 3].waits_for.mutex) + 1) % 3));
  }
  EXPECT_EQ(to_string(found[0]).find("deadlock of 3 threads: pid "), 0u) << to_string(found[0]);
  looks = 0;
  watch.until([&] { return ++looks > 10; });
  EXPECT_EQ(found.size(), 1u);
  ring[0]->kill();
  ring[2]->wait_for("both");  // what the dead one held is free again
  ring[0]->expect_killed();
  for (const unsigned i : {1u, 2u}) {
    ring[i]->kill();
    ring[i]->expect_killed();
  }
}

/// What is no mutex, and hangs all the same.
class hung_companions_kill_test : public ::testing::Test {
 protected:
  using queue = work_queue<long, 16>;
  /// Reports of one kind.
  std::vector<hung_owner> of(held_kind kind) const {
    std::vector<hung_owner> found;
    std::copy_if(hung_.begin(), hung_.end(), std::back_inserter(found),
                 [&](const hung_owner& each) { return each.kind == kind; });
    return found;
  }
  void watch_holds(watching& watch) {
    watch->on_hung(milliseconds(20), [this](const hung_owner& owner) { hung_.push_back(owner); });
    watch->on_deadlock([this](const deadlock& found) { deadlocks_.push_back(found); });
  }
  bool waits(pid_t tid) {
    return within(default_timeout(), [&] { return task_state(tid) == 'S'; });
  }

  accounts all_{4};
  repair_registration repair_ = all_.mended_here();
  queue& jobs_ = all_.seg().find_or_construct<queue>("jobs");
  permit_pool<2>& permits_ = all_.seg().find_or_construct<permit_pool<2>>("permits", 2u);
  robust_shared_mutex& table_ = all_.seg().find_or_construct<robust_shared_mutex>("table", "table");
  robust_shared_mutex& list_ = all_.seg().find_or_construct<robust_shared_mutex>("list", "table");
  std::vector<hung_owner> hung_;
  std::vector<deadlock> deadlocks_;
};

TEST_F(hung_companions_kill_test, jobs_permits_and_shared_holds_are_told_once_each) {
  watching watch(all_.seg(), sweeping_often());
  watch_holds(watch);
  jobs_.push(1);
  child worker("worker", [&](agent& parent) {
    auto job = jobs_.pop();
    auto permit = permits_.acquire();
    table_.lock_shared();
    parent.tell("inside");
    parent.pause_forever();
  });
  worker.wait_for("inside");
  child writer("writer", [&](agent&) {
    table_.lock();
    table_.unlock();
  });
  ASSERT_TRUE(waits(writer.pid()));
  ASSERT_TRUE(watch.until([&] {
    return of(held_kind::job).size() + of(held_kind::permit).size() +
               of(held_kind::shared).size() >=
           3;
  }));
  int looks = 0;
  watch.until([&] { return ++looks > 20; });
  ASSERT_EQ(of(held_kind::job).size(), 1u);
  ASSERT_EQ(of(held_kind::permit).size(), 1u);
  ASSERT_EQ(of(held_kind::shared).size(), 1u);
  for (const hung_owner& each : hung_) {
    EXPECT_EQ(each.who.tid, worker.pid()) << to_string(each);
    EXPECT_EQ(each.condition, thread_condition::sleeping);
    EXPECT_TRUE(each.held.held);
  }
  EXPECT_EQ(of(held_kind::job)[0].held.mutex_name, "jobs");
  EXPECT_EQ(of(held_kind::permit)[0].held.mutex_name, "permits");
  const hung_owner reader = of(held_kind::shared)[0];
  EXPECT_EQ(reader.held.mutex_name, "table");
  EXPECT_EQ(reader.held.lock_class, "table");
  ASSERT_TRUE(watch.until([&] { return !watch->kill_and_recover(reader) || true; }));
  worker.expect_killed();
  writer.expect_exit(0);
  EXPECT_TRUE(deadlocks_.empty());
  EXPECT_EQ(permits_.count(), 2u);
}

/// Each kind is killed through its own report.
TEST_F(hung_companions_kill_test,
       who_hangs_with_a_job_or_a_permit_is_killed_and_who_is_done_is_not) {
  for (const held_kind kind : {held_kind::job, held_kind::permit}) {
    for (const bool is_done : {false, true}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(kind)) + (is_done ? " done" : " hangs"));
      hung_.clear();
      watching watch(all_.seg(), sweeping_often());
      watch_holds(watch);
      jobs_.push(1);
      child worker("worker", [&](agent& parent) {
        if (kind == held_kind::job) {
          auto job = jobs_.pop();
          parent.tell("inside");
          parent.await("end it");
          job.done();
        } else {
          auto permit = permits_.acquire();
          parent.tell("inside");
          parent.await("end it");
        }
        parent.tell("out");
        parent.pause_forever();
      });
      worker.wait_for("inside");
      ASSERT_TRUE(watch.until([&] { return !of(kind).empty(); }));
      if (is_done) {
        worker.tell("end it");
        worker.wait_for("out");
        EXPECT_FALSE(watch->kill_and_recover(of(kind)[0]));
        EXPECT_FALSE(worker.ended());
        worker.kill();
      } else {
        const auto death = watch->kill_and_recover(of(kind)[0]);
        ASSERT_TRUE(death);
        EXPECT_EQ(death->pid, worker.pid());
      }
      worker.expect_killed();
      EXPECT_EQ(permits_.count(), 2u);
      while (auto job = jobs_.try_pop()) job.done();
    }
  }
}

/// A reader, and a thread with a permit, that come and go are at work, though each sweep finds them
/// inside.
TEST_F(hung_companions_kill_test, who_acquires_again_and_again_does_not_hang) {
  watching watch(all_.seg(), sweeping_often());
  watch_holds(watch);
  for (const held_kind kind : {held_kind::shared, held_kind::permit}) {
    child worker("worker", [&](agent& parent) {
      for (;;) {
        outlive::permit permit;
        if (kind == held_kind::shared) {
          table_.lock_shared();
        } else {
          permit = permits_.acquire();
        }
        parent.tell("inside");
        parent.await("again");
        if (kind == held_kind::shared) table_.unlock_shared();
      }
    });
    for (int round = 0; round < 20; ++round) {
      worker.wait_for("inside");
      pollfd due{watch->fd(), POLLIN, 0};
      ASSERT_EQ(poll(&due, 1, static_cast<int>(default_timeout().count())), 1);
      watch->dispatch();  // one sweep at most between two acquisitions
      worker.tell("again");
    }
    for (const hung_owner& each : hung_) ADD_FAILURE() << to_string(each);
    worker.kill();
    worker.expect_killed();
  }
}

/// The same of a thread that only takes what another one hands over.
TEST_F(hung_companions_kill_test, who_takes_permits_again_and_again_does_not_hang) {
  watching watch(all_.seg(), sweeping_often());
  watch_holds(watch);
  child worker("worker", [&](agent& parent) {
    for (;;) {
      std::promise<handed_over<permit>> handed;
      std::promise<void> taken;
      std::thread giver([&] {
        auto one = permits_.acquire();
        handed.set_value(one.hand_over());
        taken.get_future().wait();
      });
      const permit mine = handed.get_future().get().take();
      taken.set_value();
      giver.join();
      parent.tell("inside");
      parent.await("again");
    }
  });
  for (int round = 0; round < 20; ++round) {
    worker.wait_for("inside");
    pollfd due{watch->fd(), POLLIN, 0};
    ASSERT_EQ(poll(&due, 1, static_cast<int>(default_timeout().count())), 1);
    watch->dispatch();  // one sweep at most between two acquisitions
    worker.tell("again");
  }
  for (const hung_owner& each : hung_) ADD_FAILURE() << to_string(each);
  worker.kill();
  worker.expect_killed();
}

TEST_F(hung_companions_kill_test, readers_that_become_writers_of_each_others_mutex_are_a_deadlock) {
  const auto crossing = [&](robust_shared_mutex& first, robust_shared_mutex& second) {
    return [&](agent& parent) {
      first.lock_shared();
      parent.tell("first");
      parent.await("go on");
      second.lock();
    };
  };
  child a("a", crossing(table_, list_));
  child b("b", crossing(list_, table_));
  for (child* each : {&a, &b}) each->wait_for("first");
  watching watch(all_.seg(), sweeping_often());
  watch_holds(watch);
  a.tell("go on");
  ASSERT_TRUE(waits(a.pid()));
  int looks = 0;
  watch.until([&] { return ++looks > 5; });
  EXPECT_TRUE(deadlocks_.empty()) << "one of them can still go on";
  b.tell("go on");
  ASSERT_TRUE(watch.until([&] { return !deadlocks_.empty(); }));
  const deadlock found = deadlocks_[0];
  ASSERT_EQ(found.threads.size(), 2u) << to_string(found);
  for (const deadlocked_thread& each : found.threads) {
    const bool is_a = each.who.tid == a.pid();
    EXPECT_TRUE(is_a || each.who.tid == b.pid()) << to_string(found);
    EXPECT_EQ(each.waits_for.mutex_name, is_a ? "list" : "table");
  }
  looks = 0;
  watch.until([&] { return ++looks > 10; });
  EXPECT_EQ(deadlocks_.size(), 1u);
  a.kill();
  a.expect_killed();
  b.expect_exit(0);  // the lock of the dead reader is its
}

TEST_F(hung_companions_kill_test, a_permit_is_a_deadlock_only_when_no_holder_can_go_on) {
  const auto holder = [&](unsigned which) {
    return [&, which](agent& parent) {
      auto permit = permits_.acquire();
      parent.tell("permit");
      parent.await("go on");
      all_.mutex(which).lock();
      all_.value(which).mend();
      all_.mutex(which).unlock();
    };
  };
  // It has the mutex and waits for a permit; those who have the permits wait for the mutex.
  child one("one", holder(0));
  child two("two", holder(0));
  child waiter("waiter", [&](agent& parent) {
    all_.mutex(0).lock();
    parent.tell("mutex");
    parent.await("go on");
    auto permit = permits_.acquire();
    all_.mutex(0).unlock();
  });
  one.wait_for("permit");
  two.wait_for("permit");
  waiter.wait_for("mutex");
  watching watch(all_.seg(), sweeping_often());
  watch_holds(watch);
  waiter.tell("go on");
  ASSERT_TRUE(waits(waiter.pid()));
  one.tell("go on");
  ASSERT_TRUE(within(default_timeout(), [&] { return all_.has_waited(one.pid()); }));
  int looks = 0;
  watch.until([&] { return ++looks > 10; });
  EXPECT_TRUE(deadlocks_.empty()) << "the other one can still go on: " << to_string(deadlocks_[0]);
  two.tell("go on");
  ASSERT_TRUE(watch.until([&] { return !deadlocks_.empty(); }));
  ASSERT_EQ(deadlocks_[0].threads.size(), 2u) << to_string(deadlocks_[0]);
  EXPECT_NE(to_string(deadlocks_[0]).find("waits for a permit of \"permits\", held by"),
            std::string::npos)
      << to_string(deadlocks_[0]);
  one.kill();
  one.expect_killed();
  waiter.expect_exit(0);
  two.expect_exit(0);
}

/// A dispatcher waits for the permits that it has handed over, while its pool is busy.
TEST_F(hung_companions_kill_test, a_permit_on_its_way_is_nobodys_deadlock) {
  const shared_object<std::atomic<pid_t>> taker;
  child dispatcher("dispatcher", [&](agent& parent) {
    auto first = permits_.acquire().hand_over(), second = permits_.acquire().hand_over();
    std::thread busy([&, first = std::move(first), second = std::move(second)]() mutable {
      *taker = gettid();
      parent.tell("busy");
      parent.await("take");
      auto mine = first.take(), other = second.take();
      parent.tell("taken");
      parent.await("lock");
      all_.mutex(0).lock();
    });
    all_.mutex(0).lock();
    auto next = permits_.acquire();
    busy.join();
  });
  dispatcher.wait_for("busy");
  watching watch(all_.seg(), sweeping_often());
  watch_holds(watch);
  ASSERT_TRUE(watch.until([&] { return !of(held_kind::permit).empty(); }));
  EXPECT_EQ(of(held_kind::permit)[0].who.tid, dispatcher.pid());
  EXPECT_TRUE(of(held_kind::permit)[0].may_be_on_its_way);
  ASSERT_TRUE(watch.until([&] { return !of(held_kind::mutex).empty(); }));
  ASSERT_TRUE(waits(dispatcher.pid()));
  int looks = 0;
  watch.until([&] { return ++looks > 20; });
  EXPECT_TRUE(deadlocks_.empty()) << to_string(deadlocks_[0]);
  hung_.clear();
  dispatcher.tell("take");
  dispatcher.wait_for("taken");
  ASSERT_TRUE(watch.until([&] { return !of(held_kind::permit).empty(); }));
  EXPECT_EQ(of(held_kind::permit)[0].who.tid, taker->load());
  EXPECT_FALSE(of(held_kind::permit)[0].may_be_on_its_way);
  deadlocks_.clear();
  dispatcher.tell("lock");
  ASSERT_TRUE(watch.until([&] { return !deadlocks_.empty(); })) << "now it is one";
  EXPECT_EQ(deadlocks_[0].threads.size(), 2u) << to_string(deadlocks_[0]);
  dispatcher.kill();
  dispatcher.expect_killed();
}

}  // namespace
}  // namespace outlive::testing
