// recover() after deaths, and a recoverer that is killed in the middle: the next one goes on where
// it stopped.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "scenes/accounts.hpp"

namespace outlive::testing {
namespace {

constexpr unsigned count = 6;

class recoverer_kill_test : public ::testing::Test {
 protected:
  /// One owner of all accounts, killed.
  pid_t kill_the_owner_of_all() {
    child owner("owner", [&](agent&) {
      for (unsigned i = 0; i < count; ++i) all_.lock_and_tear(i);
      kill(getpid(), SIGKILL);
    });
    owner.expect_killed();
    return owner.pid();
  }

  accounts all_{count};
};

TEST_F(recoverer_kill_test, killed_at_any_repair_the_next_one_goes_on) {
  for (unsigned victim = 0; victim < count; ++victim) {
    SCOPED_TRACE("killed in repair " + std::to_string(victim));
    const unsigned before = all_.repairs();
    kill_the_owner_of_all();
    shared_counter started;
    child recoverer("recoverer", [&](agent&) {
      const auto repair =
          on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
            if (started.add() == victim) kill(getpid(), SIGKILL);
            return all_.mend(x, death);
          });
      recover(all_.seg());
    });
    recoverer.expect_killed();
    EXPECT_EQ(started.load(), victim + 1);
    EXPECT_EQ(all_.repairs() - before, victim) << "those that came before it";

    unsigned former_heirs = 0;
    {
      const auto repair =
          on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
            if (death.former_heir() != nullptr) {
              ++former_heirs;
              EXPECT_EQ(death.former_heir()->pid, recoverer.pid());
              EXPECT_EQ(death.attempt(), 2u);
            } else {
              EXPECT_EQ(death.attempt(), 1u);
            }
            return all_.mend(x, death);
          });
      const auto lines = recover(all_.seg());
      EXPECT_GE(lines.size(), count - victim);
      for (const auto& line : lines) {
        EXPECT_TRUE(line.outcome == recovery_outcome::repaired ||
                    line.outcome == recovery_outcome::nothing_to_repair)
            << line.mutex_name << ": " << to_string(line.outcome);
      }
    }
    EXPECT_EQ(former_heirs, 1u);
    EXPECT_EQ(all_.repairs() - before, count) << "each account once";
    for (unsigned i = 0; i < count; ++i) expect_usable(all_, i);
    EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  }
}

TEST_F(recoverer_kill_test, a_locker_goes_on_as_well) {
  kill_the_owner_of_all();
  child recoverer("recoverer", [&](agent&) {
    const auto dying =
        on_owner_death<account>(all_.seg(), "account", [&](account&, const owner_death&) {
          kill(getpid(), SIGKILL);
          return repaired;
        });
    recover(all_.seg());
  });
  recoverer.expect_killed();
  const auto repair = all_.mended_here();
  for (unsigned i = 0; i < count; ++i) expect_survivor(all_, i, true);
  EXPECT_EQ(all_.repairs(), count);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(recoverer_kill_test, several_at_the_same_time_repair_each_account_once) {
  const auto repair = all_.mended_here();
  for (int round = 0; round < 5; ++round) {
    const unsigned before = all_.repairs();
    kill_the_owner_of_all();
    std::vector<std::unique_ptr<child>> recoverers;
    shared_value<std::uint32_t> go;
    for (int i = 0; i < 4; ++i) {
      recoverers.push_back(std::make_unique<child>("recoverer " + std::to_string(i), [&](agent&) {
        go.wait_equal(1);
        recover(all_.seg());
      }));
    }
    go.store(1);
    for (const auto& each : recoverers) each->expect_exit(0);
    recover(all_.seg());  // what one of them had in hand when another came by
    EXPECT_EQ(all_.repairs() - before, count);
    for (unsigned i = 0; i < count; ++i) expect_usable(all_, i);
  }
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(recoverer_kill_test, a_killed_owners_mutex_that_a_living_thread_has_by_now_is_left_to_it) {
  kill_a_holder(all_);
  child heir("heir", [&](agent& parent) {
    const auto slow =
        on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
          parent.tell("repairing");
          parent.await("go on");
          return all_.mend(x, death);
        });
    all_.mutex().lock();
    parent.tell("inside");
    parent.await("leave");
    all_.mutex().unlock();
  });
  heir.wait_for("repairing");
  const auto repair = all_.mended_here();
  const auto lines = recover(all_.seg());  // must not wait for the heir
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].outcome, recovery_outcome::held_by_another) << to_string(lines[0].outcome);
  EXPECT_FALSE(lines[0].adopted);
  heir.tell("go on");
  heir.wait_for("inside");
  EXPECT_TRUE(recover(all_.seg()).empty());
  heir.tell("leave");
  heir.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
}

}  // namespace
}  // namespace outlive::testing
