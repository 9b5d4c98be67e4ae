// reset(): the way out of "not recoverable", and what it leaves alone.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"

namespace outlive::testing {
namespace {

class reset_process_test : public ::testing::Test {
 protected:
  /// Dead owner, and as many failed repairs as are allowed.
  void use_up_all_attempts() {
    leave_holding(all_);
    const auto fails =
        on_owner_death(all_.seg(), "account", [](const owner_death&) { return failed; });
    std::error_code error;
    for (unsigned i = 0; i < all_.seg().options().attempts; ++i) all_.mutex().lock(error);
    EXPECT_EQ(error, errc::repair_failed);
    all_.mutex().lock(error);
    ASSERT_EQ(error, errc::not_recoverable);
  }

  bool rebuild() {
    return reset(all_[0], [&](account& x, const owner_death&) {
      ++rebuilt_;
      x = {};
      return repaired;
    });
  }

  accounts all_{2};
  unsigned rebuilt_ = 0;
};

TEST_F(reset_process_test, not_recoverable_becomes_consistent) {
  use_up_all_attempts();
  EXPECT_TRUE(rebuild());
  EXPECT_EQ(rebuilt_, 1u);
  EXPECT_TRUE(all_.value().whole());
  expect_usable(all_);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  const auto log = death_log(all_.seg());
  ASSERT_FALSE(log.empty());
  EXPECT_EQ(log.back().outcome, death_outcome::repaired) << "the log does not tell of it";
  EXPECT_FALSE(log.back().owner.known);
  EXPECT_EQ(log.back().heir.pid, getpid());
}

TEST_F(reset_process_test, the_next_death_has_all_its_attempts_again) {
  use_up_all_attempts();
  EXPECT_TRUE(rebuild());
  use_up_all_attempts();
}

TEST_F(reset_process_test, what_is_consistent_is_left_alone) {
  EXPECT_FALSE(rebuild());
  all_.mutex().lock();
  EXPECT_FALSE(rebuild()) << "held by this thread";
  all_.mutex().unlock();
  child holder("holder", [&](agent& parent) {
    all_.mutex().lock();
    parent.tell("inside");
    parent.await("leave");
    all_.mutex().unlock();
  });
  holder.wait_for("inside");
  EXPECT_FALSE(rebuild()) << "held by another";
  holder.tell("leave");
  holder.expect_exit(0);
  EXPECT_EQ(rebuilt_, 0u);
  expect_usable(all_);
}

TEST_F(reset_process_test, of_an_owner_just_dead_it_takes_the_place_of_the_repair) {
  const auto repair = all_.mended_here();
  const pid_t owner = leave_holding(all_);
  EXPECT_TRUE(reset(all_[0], [&](account& x, const owner_death& death) {
    EXPECT_EQ(death.owner().pid, owner);
    EXPECT_EQ(death.attempt(), 1u);
    x = {};
    return repaired;
  }));
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.value().a, 500);
  expect_usable(all_);
}

TEST_F(reset_process_test, unrepaired_becomes_consistent) {
  leave_holding(all_);
  std::error_code error;
  all_.mutex().lock(error);
  ASSERT_EQ(error, errc::owner_died_unrepaired);
  EXPECT_TRUE(rebuild());
  expect_usable(all_);
}

TEST_F(reset_process_test, a_rebuild_that_fails_leaves_it_as_it_was) {
  use_up_all_attempts();
  EXPECT_EQ(
      thrown::by([&] { reset(all_.mutex(), [](const owner_death&) { return failed; }); }).code,
      errc::repair_failed);
  const thrown by_throw = thrown::by([&] {
    reset(all_.mutex(),
          [](const owner_death&) -> repair_result { throw std::runtime_error("of the rebuild"); });
  });
  EXPECT_EQ(by_throw.code, errc::repair_failed);
  EXPECT_NE(by_throw.messages.find("account 0"), std::string::npos) << by_throw.messages;
  EXPECT_NE(by_throw.messages.find("of the rebuild"), std::string::npos) << by_throw.messages;
  expect_refused(all_, 0, errc::not_recoverable);
  EXPECT_TRUE(rebuild());
  expect_usable(all_);
}

TEST_F(reset_process_test, is_refused_in_a_repair_and_refuses_locks_in_its_own) {
  leave_holding(all_);
  const auto repair = on_owner_death(all_.seg(), "account", [&](const owner_death&) {
    EXPECT_EQ(thrown::by([&] { reset(all_.mutex(1), always_consistent); }).code, errc::in_repair);
    return repaired;
  });
  all_.mutex().lock();
  all_.mutex().unlock();
  leave_holding(all_);
  EXPECT_TRUE(reset(all_.mutex(), [&](const owner_death&) {
    std::error_code error;
    all_.mutex(1).lock(error);
    EXPECT_EQ(error, errc::in_repair);
    return repaired;
  }));
}

TEST_F(reset_process_test, waits_for_the_repair_of_another_but_not_for_ever) {
  leave_holding(all_);
  child heir("heir", [&](agent& parent) {
    const auto slow = on_owner_death(all_.mutex(), [&](const owner_death&) {
      parent.tell("repairing");
      parent.await("go on");
      return failed;
    });
    std::error_code error;
    all_.mutex().lock(error);
  });
  heir.wait_for("repairing");
  EXPECT_EQ(thrown::by([&] { rebuild(); }).code, errc::in_use);
  EXPECT_EQ(rebuilt_, 0u);
  heir.tell("go on");
  heir.expect_exit(0);
  EXPECT_TRUE(rebuild());
  expect_usable(all_);
}

TEST_F(reset_process_test, misuse_is_told) {
  EXPECT_EQ(thrown::by([&] { reset(all_.mutex(), repair_callback()); }).code,
            std::errc::invalid_argument);
  alignas(64) char memory[64] = {};
  EXPECT_EQ(
      thrown::by([&] { reset(reinterpret_cast<robust_mutex&>(memory), always_consistent); }).code,
      errc::not_in_segment);
  auto& outside = all_.seg().find_or_construct<std::array<char, 64>>("no mutex");
  EXPECT_EQ(
      thrown::by([&] { reset(reinterpret_cast<robust_mutex&>(outside), always_consistent); }).code,
      errc::damaged);
}

}  // namespace
}  // namespace outlive::testing
