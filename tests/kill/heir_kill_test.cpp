// The heir is killed while it repairs; and the next one; and again, up to the limit of attempts.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/report_copy.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class heir_kill_test : public ::testing::Test {
 protected:
  static segment_options with_attempts(unsigned attempts) {
    segment_options options = small_segment();
    options.attempts = attempts;
    return options;
  }

  /// A process whose repair does `in_repair`, which kills it; returns its pid.
  pid_t kill_an_heir(
      const accounts& all, const std::function<void(account&)>& in_repair = [](account&) {}) {
    child heir("heir", [&](agent&) {
      const auto dying =
          on_owner_death<account>(all.seg(), "account", [&](account& x, const owner_death& death) {
            *report_ = death;
            started_.add();
            in_repair(x);
            kill(getpid(), SIGKILL);
            return repaired;
          });
      all.mutex().lock();
    });
    heir.expect_killed();
    return heir.pid();
  }

  shared_object<report_copy> report_;
  shared_counter started_;
};

TEST_F(heir_kill_test, killed_while_repairing_the_next_heir_repairs_and_knows_both) {
  accounts all;
  const pid_t owner = kill_a_holder(all);
  const pid_t heir = kill_an_heir(all);
  EXPECT_EQ(started_.load(), 1u);
  EXPECT_EQ(report_->attempt, 1u);
  EXPECT_FALSE(report_->has_former_heir);

  const auto repair =
      on_owner_death<account>(all.seg(), "account", [&](account& x, const owner_death& death) {
        *report_ = death;
        return all.mend(x, death);
      });
  expect_survivor(all, 0, true);
  EXPECT_EQ(all.repairs(), 1u);
  EXPECT_EQ(report_->attempt, 2u);
  EXPECT_EQ(report_->max_attempts, 3u);
  EXPECT_EQ(report_->owner.pid, owner);
  ASSERT_TRUE(report_->has_former_heir);
  EXPECT_TRUE(report_->former_heir.known);
  EXPECT_EQ(report_->former_heir.pid, heir);
  expect_usable(all);
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
}

TEST_F(heir_kill_test, killed_twice_the_third_attempt_repairs_and_knows_the_second_heir) {
  accounts all;
  const pid_t owner = kill_a_holder(all);
  kill_an_heir(all);
  const pid_t second = kill_an_heir(all);
  EXPECT_EQ(report_->attempt, 2u);
  const auto repair =
      on_owner_death<account>(all.seg(), "account", [&](account& x, const owner_death& death) {
        *report_ = death;
        return all.mend(x, death);
      });
  expect_survivor(all, 0, true);
  EXPECT_EQ(all.repairs(), 1u);
  EXPECT_EQ(report_->attempt, 3u);
  EXPECT_EQ(report_->owner.pid, owner);
  ASSERT_TRUE(report_->has_former_heir);
  EXPECT_EQ(report_->former_heir.pid, second);
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
}

TEST_F(heir_kill_test, killed_after_its_last_store_the_data_is_repaired_once_more) {
  accounts all;
  kill_a_holder(all);
  kill_an_heir(all, [](account& x) { x.mend(); });
  EXPECT_TRUE(all.value().whole());
  const auto repair = all.mended_here();
  expect_survivor(all, 0, true);
  EXPECT_EQ(all.repairs(), 1u);
}

TEST_F(heir_kill_test, a_repaired_death_leaves_nothing_to_the_next_one) {
  accounts all;
  kill_a_holder(all);
  kill_an_heir(all);
  {
    const auto repair = all.mended_here();
    expect_survivor(all, 0, true);
  }
  const pid_t second_owner = kill_a_holder(all);
  kill_an_heir(all);
  EXPECT_EQ(report_->owner.pid, second_owner);
  EXPECT_EQ(report_->attempt, 1u) << "attempts of a former death were carried over";
  EXPECT_FALSE(report_->has_former_heir);
}

TEST_F(heir_kill_test, a_blocked_locker_takes_over_from_a_killed_heir) {
  accounts all;
  kill_a_holder(all);
  child heir("heir", [&](agent& parent) {
    const auto stuck =
        on_owner_death<account>(all.seg(), "account", [&](account&, const owner_death&) {
          parent.tell("repairing");
          parent.pause_forever();
          return repaired;
        });
    all.mutex().lock();
  });
  heir.wait_for("repairing");
  shared_counter entered;
  child waiter("waiter", [&](agent& parent) {
    const auto repair = all.mended_here();
    parent.tell("waits");
    auto x = all[0].lock();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(x->whole());
    entered.add();
  });
  waiter.wait_for("waits");
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(waiter.pid()) == 'S'; }));
  EXPECT_EQ(entered.load(), 0u) << "let in while the heir repairs";
  heir.kill();
  heir.expect_killed();
  ASSERT_TRUE(entered.wait_equal(1)) << all.who_holds_what();
  waiter.expect_exit(0);
  EXPECT_EQ(all.repairs(), 1u);
}

class attempts_kill_test : public heir_kill_test, public ::testing::WithParamInterface<unsigned> {};

TEST_P(attempts_kill_test, heirs_that_die_use_the_attempts_up_and_then_nobody_repairs) {
  accounts all(1, with_attempts(GetParam()));
  kill_a_holder(all);
  for (unsigned n = 1; n <= GetParam(); ++n) {
    kill_an_heir(all);
    EXPECT_EQ(report_->attempt, n);
    EXPECT_EQ(report_->max_attempts, GetParam());
  }
  const auto repair = all.mended_here();
  for (int later = 0; later < 3; ++later) expect_refused(all, 0, errc::not_recoverable);
  std::error_code error;
  EXPECT_FALSE(all.mutex().try_lock(error));
  EXPECT_EQ(error, errc::not_recoverable);
  EXPECT_FALSE(all.mutex().try_lock_for(milliseconds(10), error));
  EXPECT_EQ(error, errc::not_recoverable);
  EXPECT_THROW((void)all[0].lock(), std::system_error);
  EXPECT_TRUE(recover(all.seg()).empty()) << "nobody's death is pending any more";
  EXPECT_EQ(all.repairs(), 0u);
  EXPECT_EQ(started_.load(), GetParam());
  EXPECT_FALSE(all.value().whole()) << "nobody was to touch it";
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
  const auto log = death_log(all.seg());
  ASSERT_EQ(log.size(), GetParam() + 1);
  for (unsigned n = 0; n < GetParam(); ++n) EXPECT_EQ(log[n].outcome, death_outcome::repairing);
  EXPECT_EQ(log.back().outcome, death_outcome::not_recoverable);
}

TEST_P(attempts_kill_test, the_last_attempt_can_still_repair) {
  accounts all(1, with_attempts(GetParam()));
  kill_a_holder(all);
  for (unsigned n = 1; n < GetParam(); ++n) kill_an_heir(all);
  const auto repair = all.mended_here();
  expect_survivor(all, 0, true);
  EXPECT_EQ(all.repairs(), 1u);
  EXPECT_EQ(started_.load(), GetParam() - 1);
  expect_usable(all);
}

TEST_P(attempts_kill_test, recoverers_that_die_use_them_up_as_well) {
  accounts all(1, with_attempts(GetParam()));
  kill_a_holder(all);
  for (unsigned n = 1; n <= GetParam(); ++n) {
    child recoverer("recoverer", [&](agent&) {
      const auto dying =
          on_owner_death<account>(all.seg(), "account", [&](account&, const owner_death&) {
            started_.add();
            kill(getpid(), SIGKILL);
            return repaired;
          });
      recover(all.seg());
    });
    recoverer.expect_killed();
    EXPECT_EQ(started_.load(), n);
  }
  const auto repair = all.mended_here();
  const auto lines = recover(all.seg());
  ASSERT_FALSE(lines.empty());
  for (const auto& line : lines) {
    EXPECT_EQ(line.outcome, recovery_outcome::not_recoverable);
    EXPECT_EQ(line.error, errc::not_recoverable);
  }
  expect_refused(all, 0, errc::not_recoverable);
  EXPECT_EQ(all.repairs(), 0u);
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
}

INSTANTIATE_TEST_SUITE_P(limit, attempts_kill_test, ::testing::Values(1u, 3u, 63u),
                         [](const auto& test) { return std::to_string(test.param); });

TEST_F(heir_kill_test, waiters_that_all_die_repairing_leave_the_rest_an_error) {
  accounts all;
  constexpr unsigned waiters = 8;
  shared_counter waiting, refused;
  child victim("victim", [&](agent& parent) {
    all.lock_and_tear();
    parent.tell("inside");
    parent.pause_forever();
  });
  victim.wait_for("inside");
  std::vector<std::unique_ptr<child>> all_waiters;
  for (unsigned i = 0; i < waiters; ++i) {
    all_waiters.push_back(std::make_unique<child>("waiter " + std::to_string(i), [&](agent&) {
      const auto dying =
          on_owner_death<account>(all.seg(), "account", [&](account&, const owner_death&) {
            started_.add();
            kill(getpid(), SIGKILL);
            return repaired;
          });
      waiting.add();
      std::error_code error;
      all.mutex().lock(error);
      EXPECT_EQ(error, errc::not_recoverable);
      refused.add();
    }));
  }
  ASSERT_TRUE(waiting.wait_equal(waiters));
  for (const auto& each : all_waiters) {
    ASSERT_TRUE(within(default_timeout(), [&] { return task_state(each->pid()) == 'S'; }));
  }
  victim.kill();
  victim.expect_killed();
  ASSERT_TRUE(refused.wait_equal(waiters - 3)) << refused.load() << " were refused\n"
                                               << all.who_holds_what();
  unsigned killed = 0;
  for (const auto& each : all_waiters) killed += each->wait().killed_by(SIGKILL);
  EXPECT_EQ(killed, 3u);
  EXPECT_EQ(started_.load(), 3u);
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
}

}  // namespace
}  // namespace outlive::testing
