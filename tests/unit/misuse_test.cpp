// Guards, permits, leases and dead letters that end in another thread than the one that has what
// they hold: reported if that thread lives and is of this process, and only then.
#include <outlive/misuse.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <outlive/outlive.hpp>

#include "support/child.hpp"

namespace outlive::testing {
namespace {

using queue = work_queue<long, 4>;
using pool = permit_pool<4>;
using number = guarded<long>;
using table = guarded<long, robust_shared_mutex>;

std::vector<misuse>* reported = nullptr;

class misuse_test : public ::testing::Test {
 protected:
  void SetUp() override {
    reported = &reports_;
    set_misuse_handler([](const misuse& what) { reported->push_back(what); });
  }
  void TearDown() override { set_misuse_handler(nullptr); }

  dead_letter<long> letter() {
    jobs_.push(1);
    for (unsigned i = 0; i < 3; ++i) jobs_.pop().fail();
    return jobs_.pop_dead_letter();
  }
  lease<long> pop() {
    jobs_.push(1);
    return jobs_.pop();
  }
  // The calling thread acquires, another thread ends it.
  template <class Hold>
  static pid_t end_elsewhere(Hold hold) {
    pid_t ended_in = 0;
    std::thread([&] {
      ended_in = gettid();
      const Hold ends_here = std::move(hold);
    }).join();
    return ended_in;
  }
  // Another thread acquires and ends, this one ends what it held.
  template <class Get>
  static void end_after_its_thread(Get get) {
    std::optional<decltype(get())> hold;
    std::thread([&] { hold.emplace(get()); }).join();
    hold.reset();
  }
  // Calls `work` while another thread has what `get` returns.
  template <class Get, class Work>
  static void while_another_holds(Get get, Work work) {
    std::promise<void> held;
    std::promise<void> done;
    std::thread other([&] {
      const auto mine = get();
      held.set_value();
      done.get_future().wait();
    });
    held.get_future().wait();
    work();
    done.set_value();
    other.join();
  }
  void expect_one(hold_kind kind, const char* object, pid_t ended_in) {
    ASSERT_EQ(reports_.size(), 1U);
    const misuse& what = reports_.front();
    EXPECT_EQ(what.kind, kind);
    EXPECT_EQ(what.segment_name, "");
    EXPECT_EQ(what.object_name, object);
    EXPECT_TRUE(what.holder.known);
    EXPECT_EQ(what.holder.pid, getpid());
    EXPECT_EQ(what.holder.tid, gettid());
    EXPECT_EQ(what.ended_in.pid, getpid());
    EXPECT_EQ(what.ended_in.tid, ended_in);
    EXPECT_NE(what.holder.start_time, 0U);
    EXPECT_NE(what.ended_in.start_time, 0U);
    reports_.clear();
  }

  segment seg_ = segment::anonymous();
  queue& jobs_ = seg_.find_or_construct<queue>("jobs");
  pool& permits_ = seg_.find_or_construct<pool>("permits");
  number& number_ = seg_.find_or_construct<number>("number", "number class");
  table& table_ = seg_.find_or_construct<table>("table", "table class");
  std::vector<misuse> reports_;
};

TEST_F(misuse_test, guard_that_ends_in_another_thread_is_reported) {
  expect_one(hold_kind::guard, "number", end_elsewhere(number_.lock()));
  EXPECT_FALSE(std::async(std::launch::async, [&] { return bool{number_.try_lock()}; }).get())
      << "it stays held";
  number_.mutex().unlock();  // by the thread that holds it
}

TEST_F(misuse_test, guards_of_a_shared_mutex_are_reported) {
  expect_one(hold_kind::guard, "table", end_elsewhere(table_.lock()));
  table_.mutex().unlock();
  expect_one(hold_kind::shared_guard, "table", end_elsewhere(table_.lock_shared()));
  table_.mutex().unlock_shared();
}

TEST_F(misuse_test, permit_lease_and_dead_letter_are_reported) {
  expect_one(hold_kind::permit, "permits", end_elsewhere(permits_.acquire()));
  EXPECT_EQ(permits_.count(), 3U);
  expect_one(hold_kind::lease, "jobs", end_elsewhere(pop()));
  EXPECT_EQ(jobs_.leased(), 1U);
  expect_one(hold_kind::dead_letter, "jobs", end_elsewhere(letter()));
}

TEST_F(misuse_test, a_thread_that_has_a_record_of_its_own_is_no_holder) {
  auto one = pop();
  auto two = permits_.acquire();
  std::thread([&] {
    auto own = pop();
    const auto also = permits_.acquire();
    one = lease<long>();
    two = permit();
    own.done();
  }).join();
  EXPECT_EQ(reports_.size(), 2U);
}

TEST_F(misuse_test, assignment_is_an_end_too) {
  auto held = number_.lock();
  std::thread([&] { held = number::guard(); }).join();
  EXPECT_EQ(reports_.size(), 1U);
  number_.mutex().unlock();
}

TEST_F(misuse_test, what_ends_in_its_own_thread_is_not_reported) {
  { const auto held = number_.lock(); }
  { const auto held = table_.lock(); }
  { const auto held = table_.lock_shared(); }
  { const auto held = permits_.acquire(); }
  { const auto held = pop(); }
  { const auto held = letter(); }
  EXPECT_EQ(reports_.size(), 0U);
}

TEST_F(misuse_test, an_owner_that_has_ended_is_a_death_and_not_reported) {
  const auto repair = on_owner_death<long>(seg_, "number class", always_consistent);
  const auto of_table =
      on_owner_death<long, robust_shared_mutex>(seg_, "table class", always_consistent);
  end_after_its_thread([&] { return number_.lock(); });
  end_after_its_thread([&] { return table_.lock(); });
  EXPECT_TRUE(table_.lock().recovered());
  end_after_its_thread([&] { return table_.lock_shared(); });
  end_after_its_thread([&] { return permits_.acquire(); });
  end_after_its_thread([&] { return pop(); });
  end_after_its_thread([&] { return letter(); });
  EXPECT_EQ(reports_.size(), 0U);
  EXPECT_TRUE(number_.lock().recovered());
  EXPECT_EQ(permits_.count(), 4U);
}

TEST_F(misuse_test, forked_childs_copies_are_not_reported) {
  auto guard = std::make_optional(number_.lock());
  auto shared = std::make_optional(table_.lock_shared());
  auto one = std::make_optional(permits_.acquire());
  auto job = std::make_optional(pop());
  for (const bool used_before : {false, true}) {
    for (const bool second_thread : {false, true}) {
      child copy("copy",
                 [&](agent&) {
                   if (used_before) static_cast<void>(permits_.acquire());
                   guard.reset();
                   shared.reset();
                   one.reset();
                   job.reset();
                   EXPECT_EQ(reports_.size(), 0U);
                 },
                 {.second_thread = second_thread});
      copy.expect_exit();
    }
  }
  guard.reset();
  shared.reset();
  one.reset();
  job.reset();
  EXPECT_EQ(reports_.size(), 0U);
}

#ifndef __SANITIZE_THREAD__  // which does not see that the parent unlocked the mutex
// Whoever has the mutex now did not get it by the guard that ends.
TEST_F(misuse_test, a_copy_is_not_reported_of_a_thread_of_the_child_that_has_the_mutex) {
  auto guard = std::make_optional(number_.lock());
  auto shared = std::make_optional(table_.lock_shared());
  child copy("copy", [&](agent& parent) {
    parent.await("released");
    while_another_holds([&] { return number_.lock(); }, [&] { guard.reset(); });
    while_another_holds([&] { return table_.lock_shared(); }, [&] { shared.reset(); });
    EXPECT_EQ(reports_.size(), 0U);
  });
  guard.reset();
  shared.reset();
  copy.tell("released");
  copy.expect_exit();
}
#endif

TEST_F(misuse_test, a_guard_of_a_thread_that_has_ended_is_not_reported_of_a_later_holder) {
  const auto repair = on_owner_death<long>(seg_, "number class", always_consistent);
  std::optional<number::guard> guard;
  std::optional<table::shared_guard> shared;
  std::thread([&] {
    guard.emplace(number_.lock());
    shared.emplace(table_.lock_shared());
  }).join();
  while_another_holds([&] { return number_.lock(); }, [&] { guard.reset(); });
  while_another_holds([&] { return table_.lock_shared(); }, [&] { shared.reset(); });
  EXPECT_EQ(reports_.size(), 0U);
}

// A child forked while its parent held nothing has no copies, and is told of its own faults.
TEST_F(misuse_test, a_forked_childs_own_guards_are_reported) {
  { const auto used_before = number_.lock(); }
  { const auto used_before = table_.lock_shared(); }
  child worker("worker", [&](agent&) {
    expect_one(hold_kind::guard, "number", end_elsewhere(number_.lock()));
    expect_one(hold_kind::shared_guard, "table", end_elsewhere(table_.lock_shared()));
    number_.mutex().unlock();
    table_.mutex().unlock_shared();
    child grandchild("grandchild", [&](agent&) {
      expect_one(hold_kind::guard, "number", end_elsewhere(number_.lock()));
      number_.mutex().unlock();
    });
    grandchild.expect_exit();
  });
  worker.expect_exit();
}

TEST_F(misuse_test, an_explicit_end_is_an_error_and_not_reported) {
  auto guard = number_.lock();
  auto one = permits_.acquire();
  auto job = pop();
  std::thread([&] {
    EXPECT_THROW(job.done(), std::system_error);
    EXPECT_THROW(one.release(), std::system_error);
    EXPECT_THROW(number_.mutex().unlock(), std::system_error);
  }).join();
  EXPECT_EQ(reports_.size(), 0U);
}

TEST_F(misuse_test, default_handler_ends_the_process_and_names_both_threads) {
  set_misuse_handler(nullptr);
  GTEST_FLAG_SET(death_test_style, "fast");
  EXPECT_EXIT(end_elsewhere(pop()), ::testing::KilledBySignal(SIGABRT),
              "outlive: a lease of anonymous segment, object \"jobs\" ended in pid [0-9]+ tid "
              "[0-9]+ .*, but pid [0-9]+ tid [0-9]+ .* has what it held");
  EXPECT_EXIT(end_elsewhere(number_.lock()), ::testing::KilledBySignal(SIGABRT),
              "outlive: a guard of anonymous segment, object \"number\" ended in ");
  EXPECT_EXIT(end_elsewhere(permits_.acquire()), ::testing::KilledBySignal(SIGABRT),
              "outlive: a permit of ");
}

TEST_F(misuse_test, set_misuse_handler_returns_the_former_one) {
  const misuse_handler mine = [](const misuse&) {};
  EXPECT_NE(set_misuse_handler(mine), nullptr);
  EXPECT_EQ(set_misuse_handler(nullptr), mine);
  EXPECT_EQ(set_misuse_handler(mine), nullptr);
}

}  // namespace
}  // namespace outlive::testing
