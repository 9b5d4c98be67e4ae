// What a repair may do, and what becomes of it: it fails, throws, locks, unlocks, tries, recovers.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"

namespace outlive::testing {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class repair_process_test : public ::testing::Test {
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

TEST_F(repair_process_test, recovered_is_true_exactly_once) {
  leave_holding(all_);
  const auto repair = all_.mended_here();
  {
    auto x = all_[0].lock();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(all_.mutex().recovered());
    EXPECT_TRUE(x.recovered()) << "asked again";
    EXPECT_FALSE(all_.mutex(1).recovered()) << "another mutex";
    auto y = all_[1].lock();
    EXPECT_FALSE(y.recovered());
    EXPECT_TRUE(x.recovered()) << "with another one held";
    std::thread([&] {
      EXPECT_FALSE(all_.mutex().recovered()) << "by a thread that does not hold it";
    }).join();
    x.unlock();
    EXPECT_FALSE(x.recovered());
    EXPECT_FALSE(all_.mutex().recovered());
  }
  auto x = all_[0].lock();
  EXPECT_FALSE(x.recovered());
}

TEST_F(repair_process_test, that_fails_is_an_error_and_the_next_one_repairs) {
  leave_holding(all_);
  {
    const auto fails = doing([](account&, const owner_death&) { return failed; });
    const thrown error = thrown::by([&] { all_.mutex().lock(); });
    EXPECT_EQ(error.code, errc::repair_failed) << error.messages;
    EXPECT_TRUE(has(error.messages, "account 0")) << error.messages;
    EXPECT_FALSE(has(error.messages, " <- ")) << "nothing was thrown: " << error.messages;
    std::error_code unlock_error;
    all_.mutex().unlock(unlock_error);
    EXPECT_EQ(unlock_error, errc::not_owner) << "after an error the lock is not held";
    EXPECT_FALSE(all_.mutex().recovered());
  }
  EXPECT_EQ(started_, 1u);
  expect_the_next_one_repairs();
}

TEST_F(repair_process_test, that_throws_is_nested_in_the_error) {
  leave_holding(all_);
  {
    const auto throws = doing([](account&, const owner_death&) -> repair_result {
      throw std::runtime_error("the ledger is gone");
    });
    const thrown error = thrown::by([&] { all_.mutex().lock(); });
    EXPECT_EQ(error.code, errc::repair_failed);
    EXPECT_TRUE(has(error.messages, " <- the ledger is gone")) << error.messages;
    const thrown tried = thrown::by([&] { EXPECT_FALSE(all_.mutex().try_lock()); });
    EXPECT_TRUE(has(tried.messages, " <- the ledger is gone")) << tried.messages;
  }
  EXPECT_EQ(started_, 2u);
  expect_the_next_one_repairs();
}

TEST_F(repair_process_test, that_throws_something_else_is_nested_as_well) {
  leave_holding(all_);
  {
    const auto throws = doing([](account&, const owner_death&) -> repair_result { throw 42; });
    const thrown error = thrown::by([&] { auto x = all_[0].lock(); });
    EXPECT_EQ(error.code, errc::repair_failed);
    EXPECT_TRUE(has(error.messages, " <- the int 42")) << error.messages;
  }
  expect_the_next_one_repairs();
}

TEST_F(repair_process_test, that_throws_does_not_throw_out_of_the_forms_with_an_error_code) {
  leave_holding(all_);
  {
    const auto throws = doing(
        [](account&, const owner_death&) -> repair_result { throw std::runtime_error("no"); });
    std::error_code error;
    EXPECT_NO_THROW(all_.mutex().lock(error));
    EXPECT_EQ(error, errc::repair_failed);
    error.clear();
    EXPECT_NO_THROW(EXPECT_FALSE(all_.mutex().try_lock(error)));
    EXPECT_EQ(error, errc::repair_failed);
    error.clear();
    EXPECT_NO_THROW(EXPECT_FALSE(all_.mutex().try_lock_for(default_timeout(), error)));
    EXPECT_EQ(error, errc::repair_failed) << "the third attempt, the last";
    error.clear();
    EXPECT_NO_THROW(all_.mutex().lock(error));
    EXPECT_EQ(error, errc::not_recoverable);
  }
  EXPECT_EQ(started_, 3u);
}

TEST_F(repair_process_test, failures_use_the_attempts_up) {
  leave_holding(all_);
  const auto fails = doing([&](account&, const owner_death& death) {
    EXPECT_EQ(death.attempt(), started_);
    EXPECT_EQ(death.max_attempts(), 3u);
    EXPECT_EQ(death.former_heir(), nullptr);
    return failed;
  });
  std::error_code error;
  for (int i = 0; i < 3; ++i) {
    all_.mutex().lock(error);
    EXPECT_EQ(error, errc::repair_failed);
  }
  all_.mutex().lock(error);
  EXPECT_EQ(error, errc::not_recoverable);
  EXPECT_EQ(started_, 3u);
  expect_refused(all_, 0, errc::not_recoverable);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(repair_process_test, cannot_unlock_the_mutex_under_repair) {
  leave_holding(all_);
  const auto unlocks = doing([&](account& x, const owner_death&) {
    std::error_code error;
    all_.mutex().unlock(error);
    EXPECT_EQ(error, errc::not_owner);
    EXPECT_THROW(all_.mutex().unlock(), std::system_error);
    x.mend();
    return repaired;
  });
  auto x = all_[0].lock();
  EXPECT_TRUE(x.recovered());
  EXPECT_EQ(started_, 1u);
  EXPECT_EQ(try_to_survive(all_, 1, default_timeout()).acquired, true);
}

TEST_F(repair_process_test, cannot_wait_for_any_mutex_but_can_try) {
  leave_holding(all_);
  segment other = segment::anonymous(small_segment());
  auto& elsewhere = other.find_or_construct<robust_mutex>("elsewhere", "plain");
  all_.mutex(2).lock();
  std::error_code error;
  const auto locks = doing([&](account& x, const owner_death&) {
    for (robust_mutex* each : {&all_.mutex(0), &all_.mutex(1), &elsewhere}) {
      each->lock(error);
      EXPECT_EQ(error, errc::in_repair);
      EXPECT_FALSE(each->try_lock_for(milliseconds(1), error));
      EXPECT_EQ(error, errc::in_repair);
    }
    EXPECT_FALSE(all_.mutex(0).try_lock()) << "the mutex under repair";
    EXPECT_TRUE(all_.mutex(1).try_lock());
    EXPECT_TRUE(elsewhere.try_lock());
    elsewhere.unlock();
    all_.mutex(1).unlock();
    all_.mutex(2).unlock();  // taken before the repair: it may be given back in it
    x.mend();
    return repaired;
  });
  all_.mutex(0).lock();
  EXPECT_TRUE(all_.mutex(0).recovered());
  all_.mutex(1).lock();  // allowed again
  all_.mutex(1).unlock();
  elsewhere.lock();
  elsewhere.unlock();
  all_.mutex(0).unlock();
  EXPECT_EQ(started_, 1u);
  for (unsigned i = 0; i < 3; ++i) expect_usable(all_, i);
}

TEST_F(repair_process_test, keeps_what_it_has_tried_after_its_end) {
  leave_holding(all_);
  const auto keeps = doing([&](account& x, const owner_death&) {
    EXPECT_TRUE(all_.mutex(1).try_lock());
    x.mend();
    return repaired;
  });
  all_.mutex(0).lock();
  EXPECT_FALSE(try_to_survive(all_, 2, default_timeout()).error);
  child other("other", [&](agent&) { EXPECT_FALSE(all_.mutex(1).try_lock()); });
  other.expect_exit(0);
  all_.mutex(0).unlock();
  all_.mutex(1).unlock();
  for (unsigned i = 0; i < 2; ++i) expect_usable(all_, i);
}

TEST_F(repair_process_test, that_tries_another_mutex_of_the_dead_repairs_that_one_inside) {
  child owner("owner", [&](agent&) {
    all_.lock_and_tear(0);
    all_.lock_and_tear(1);
    _exit(0);
  });
  owner.expect_exit(0);
  unsigned depth = 0;
  const auto nested = doing([&](account& x, const owner_death& death) {
    ++depth;
    if (all_.index_of(death.mutex()) == 0) {
      auto y = all_[1].try_lock();
      EXPECT_TRUE(y && y.recovered() && y->whole());
      std::error_code error;
      all_.mutex(2).lock(error);
      EXPECT_EQ(error, errc::in_repair) << "still in the outer repair";
    } else {
      EXPECT_EQ(depth, 2u);
    }
    x.mend();
    return repaired;
  });
  auto x = all_[0].lock();
  EXPECT_TRUE(x.recovered());
  EXPECT_EQ(started_, 2u);
  expect_usable(all_, 1);
}

TEST_F(repair_process_test, cannot_recover) {
  leave_holding(all_);
  const auto recovers = doing([&](account& x, const owner_death&) {
    EXPECT_EQ(thrown::by([&] { recover(all_.seg()); }).code, errc::in_repair);
    EXPECT_EQ(thrown::by([&] { recover(all_.seg(), getpid()); }).code, errc::in_repair);
    x.mend();
    return repaired;
  });
  auto x = all_[0].lock();
  EXPECT_TRUE(x.recovered());
  EXPECT_EQ(started_, 1u);
}

TEST_F(repair_process_test, can_leave_a_note_and_read_the_log) {
  leave_holding(all_);
  const auto notes = doing([&](account& x, const owner_death&) {
    note(all_.seg(), 77);
    const auto log = death_log(all_.seg());
    EXPECT_EQ(log.size(), 1u);
    EXPECT_EQ(log.back().outcome, death_outcome::repairing);
    x.mend();
    return repaired;
  });
  auto x = all_[0].lock();
  EXPECT_TRUE(x.recovered());
}

}  // namespace
}  // namespace outlive::testing
