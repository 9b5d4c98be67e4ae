// Processes without a repair: the death waits, no attempt is counted, and the one that repairs in
// the end knows who died.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/report_copy.hpp"
#include "scenes/thrown.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class unrepaired_process_test : public ::testing::Test {
 protected:
  repair_registration reporting() {
    return on_owner_death<account>(all_.seg(), "account",
                                   [this](account& x, const owner_death& death) {
                                     report_ = death;
                                     return all_.mend(x, death);
                                   });
  }

  accounts all_{2};
  report_copy report_;
};

TEST_F(unrepaired_process_test,
       many_refusals_later_the_repair_is_the_first_attempt_and_names_the_dead) {
  const pid_t owner = leave_holding(all_);
  for (int i = 0; i < 10; ++i) expect_refused(all_, 0, errc::owner_died_unrepaired);
  EXPECT_FALSE(all_.value().whole());
  const auto repair = reporting();
  auto x = all_[0].lock();
  EXPECT_TRUE(x.recovered());
  EXPECT_EQ(report_.attempt, 1u);
  EXPECT_TRUE(report_.owner.known);
  EXPECT_EQ(report_.owner.pid, owner);
  EXPECT_FALSE(report_.has_former_heir) << "nobody died repairing";
  EXPECT_NE(report_.acquired_at.module.view(), "unknown");
  x.unlock();
  expect_usable(all_);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(unrepaired_process_test, every_way_to_acquire_is_refused_and_holds_nothing) {
  leave_holding(all_);
  using way = std::pair<const char*, std::function<bool(std::error_code&)>>;
  const std::vector<way> with_code{
      {"lock", [&](std::error_code& e) { return all_.mutex().lock(e), !e; }},
      {"try_lock", [&](std::error_code& e) { return all_.mutex().try_lock(e); }},
      {"try_lock_for",
       [&](std::error_code& e) { return all_.mutex().try_lock_for(default_timeout(), e); }},
      {"try_lock_until",
       [&](std::error_code& e) {
         return all_.mutex().try_lock_until(std::chrono::steady_clock::now(), e);
       }},
      {"guard lock", [&](std::error_code& e) { return static_cast<bool>(all_[0].lock(e)); }},
      {"guard try_lock",
       [&](std::error_code& e) { return static_cast<bool>(all_[0].try_lock(e)); }},
  };
  for (const auto& [name, acquire] : with_code) {
    SCOPED_TRACE(name);
    std::error_code error;
    EXPECT_FALSE(acquire(error));
    EXPECT_EQ(error, errc::owner_died_unrepaired);
    all_.mutex().unlock(error);
    EXPECT_EQ(error, errc::not_owner);
  }
  const std::vector<std::pair<const char*, std::function<void()>>> throwing{
      {"lock", [&] { all_.mutex().lock(); }},
      {"try_lock", [&] { (void)all_.mutex().try_lock(); }},
      {"try_lock_for", [&] { (void)all_.mutex().try_lock_for(default_timeout()); }},
      {"try_lock_until",
       [&] { (void)all_.mutex().try_lock_until(std::chrono::system_clock::now()); }},
      {"guard lock", [&] { auto x = all_[0].lock(); }},
      {"guard try_lock", [&] { auto x = all_[0].try_lock(); }},
      {"guard try_lock_for", [&] { auto x = all_[0].try_lock_for(milliseconds(1)); }},
      {"guard try_lock_until",
       [&] { auto x = all_[0].try_lock_until(std::chrono::steady_clock::now()); }},
  };
  for (const auto& [name, acquire] : throwing) {
    SCOPED_TRACE(name);
    const thrown error = thrown::by(acquire);
    EXPECT_EQ(error.code, errc::owner_died_unrepaired);
    EXPECT_NE(error.messages.find("account 0"), std::string::npos) << error.messages;
    EXPECT_NE(error.messages.find("\"account\""), std::string::npos) << error.messages;
  }
  EXPECT_EQ(all_.repairs(), 0u);
  expect_usable(all_, 1);
}

TEST_F(unrepaired_process_test, a_code_that_was_set_before_is_cleared_by_success) {
  std::error_code error = make_error_code(errc::damaged);
  all_.mutex().lock(error);
  EXPECT_FALSE(error);
  error = make_error_code(errc::damaged);
  all_.mutex().unlock(error);
  EXPECT_FALSE(error);
  error = make_error_code(errc::damaged);
  EXPECT_TRUE(all_.mutex().try_lock(error));
  EXPECT_FALSE(error);
  all_.mutex().unlock();
  leave_holding(all_);
  const auto repair = all_.mended_here();
  error = make_error_code(errc::damaged);
  EXPECT_TRUE(all_.mutex().try_lock_for(milliseconds(1), error));
  EXPECT_FALSE(error);
  all_.mutex().unlock();
}

TEST_F(unrepaired_process_test, waiters_with_and_without_a_repair_each_get_what_they_can) {
  // Four of each kind wait; those without are refused until one with a repair has had it.
  shared_counter waiting, entered, refused, recovered;
  child owner("owner", [&](agent& parent) {
    all_.lock_and_tear();
    parent.tell("inside");
    parent.await("leave");
    _exit(0);
  });
  owner.wait_for("inside");
  std::vector<std::unique_ptr<child>> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(std::make_unique<child>("waiter " + std::to_string(i), [&, i](agent&) {
      repair_registration repair;
      if (i % 2 == 0) repair = all_.mended_here();
      waiting.add();
      std::error_code error;
      auto x = all_[0].lock(error);
      if (x) {
        EXPECT_TRUE(x->whole());
        recovered.add(x.recovered());
        entered.add();
      } else {
        EXPECT_EQ(error, errc::owner_died_unrepaired);
        EXPECT_EQ(i % 2, 1) << "refused in spite of its repair";
        refused.add();
      }
    }));
  }
  ASSERT_TRUE(waiting.wait_equal(8));
  for (const auto& each : waiters) {
    ASSERT_TRUE(within(default_timeout(),
                       [&] { return is_dead(each->pid()) || task_state(each->pid()) == 'S'; }));
  }
  owner.tell("leave");
  owner.expect_exit(0);
  for (const auto& each : waiters) each->expect_exit(0);
  EXPECT_EQ(entered.load() + refused.load(), 8u);
  EXPECT_GE(entered.load(), 4u);
  EXPECT_EQ(recovered.load(), 1u);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(unrepaired_process_test, the_origin_is_kept_through_failures_and_other_processes) {
  const pid_t owner = leave_holding(all_);
  expect_refused(all_, 0, errc::owner_died_unrepaired);
  {
    const auto fails = on_owner_death(all_.mutex(), [](const owner_death&) { return failed; });
    expect_refused(all_, 0, errc::repair_failed);
  }
  expect_refused(all_, 0, errc::owner_died_unrepaired);
  const auto repair = reporting();
  { auto x = all_[0].lock(); }
  EXPECT_EQ(report_.owner.pid, owner);
  EXPECT_EQ(report_.attempt, 2u);
}

}  // namespace
}  // namespace outlive::testing
