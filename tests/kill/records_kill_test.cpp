// Thread records and participants that the dead pin: whoever needs one recovers first, and nothing
// waits for itself (rules U2 and U3).
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/report_copy.hpp"
#include "support/leaks.hpp"
#include "support/orphans.hpp"

namespace outlive::testing {
namespace {

constexpr unsigned threads = 4;

class records_kill_test : public ::testing::Test {
 protected:
  static segment_options few_records() {
    segment_options options = small_segment();
    options.threads = threads;
    return options;
  }

  /// The dead: `count` owners, each with an account of its own, all inside at the same time, then
  /// killed.
  std::vector<pid_t> pin(unsigned first, unsigned count) {
    std::vector<pid_t> pids;
    std::vector<std::unique_ptr<child>> owners;
    for (unsigned i = first; i < first + count; ++i) {
      owners.push_back(
          std::make_unique<child>("owner " + std::to_string(i), [this, i](agent& parent) {
            all_.lock_and_tear(i);
            parent.tell("inside");
            parent.pause_forever();
          }));
      owners.back()->wait_for("inside");
    }
    for (const auto& each : owners) each->kill();
    for (const auto& each : owners) {
      each->expect_killed();
      pids.push_back(each->pid());
    }
    return pids;
  }

  accounts all_{threads, few_records()};
};

TEST_F(records_kill_test, all_pinned_by_dead_owners_the_next_thread_recovers_them) {
  const auto repair = all_.mended_here();
  pin(0, threads - 1);
  ASSERT_EQ(all_.seg().threads_in_use(), threads) << "the records were to be pinned";
  // repaired while the survivor looked for a record, before its lock()
  expect_survivor(all_, 0, false);
  EXPECT_EQ(all_.repairs(), threads - 1);
  for (unsigned i = 0; i < threads - 1; ++i) {
    EXPECT_EQ(all_.repairs(i), 1u);
    expect_usable(all_, i);
  }
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(records_kill_test, all_pinned_recover_works_in_a_process_without_a_record) {
  const auto repair = all_.mended_here();
  pin(0, threads - 1);
  child supervisor("supervisor", [&](agent&) {
    const auto lines = recover(all_.seg());
    EXPECT_EQ(lines.size(), threads - 1);
    for (const auto& line : lines)
      EXPECT_EQ(line.outcome, recovery_outcome::repaired) << line.mutex_name;
    EXPECT_TRUE(recover(all_.seg()).empty());
    auto x = all_[0].lock();
    EXPECT_FALSE(x.recovered());
  });
  supervisor.expect_exit(0);
  EXPECT_EQ(all_.repairs(), threads - 1);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(records_kill_test, all_pinned_by_orphans_the_next_thread_adopts_and_recovers_them) {
  const auto repair = all_.mended_here();
  for (unsigned i = 0; i < threads - 1; ++i) {
    child owner("owner", [&](agent&) {
      die_leaving_orphans(orphan_kind::list_unset, {.acquire = [&] { all_.lock_and_tear(i); }});
    });
    expect_orphaned(owner, orphan_kind::list_unset);
  }
  ASSERT_EQ(all_.seg().threads_in_use(), threads);
  expect_survivor(all_, 0, false);
  EXPECT_EQ(all_.repairs(), threads - 1);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(records_kill_test, orphaned_liveness_mutexes_alone_do_not_use_the_records_up) {
  for (unsigned round = 0; round < 3 * threads; ++round) {
    child owner("owner", [&](agent&) {
      std::error_code error;
      all_.mutex().lock(error);
      ASSERT_FALSE(error) << error.message();
      all_.mutex().unlock();
      die_leaving_orphans(orphan_kind::list_unset, {});
    });
    expect_orphaned(owner, orphan_kind::list_unset);
  }
}

TEST_F(records_kill_test, pinned_and_without_a_repair_the_origins_are_forgotten_at_last_resort) {
  pin(0, threads - 1);
  // No repair anywhere: the deaths become unrepaired, and would pin the records for ever.
  expect_refused(all_, 0, errc::owner_died_unrepaired);
  expect_refused(all_, 1, errc::owner_died_unrepaired);
  EXPECT_LE(all_.seg().threads_in_use(), threads);

  shared_object<report_copy> report;
  const auto repair =
      on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
        if (all_.index_of(death.mutex()) == 0) *report = death;
        return all_.mend(x, death);
      });
  for (unsigned i = 0; i < threads - 1; ++i) expect_survivor(all_, i, true);
  EXPECT_EQ(all_.repairs(), threads - 1);
  EXPECT_FALSE(report->owner.known);
  EXPECT_EQ(report->owner.thread_name.view(), "unknown");
  EXPECT_EQ(report->owner.command_name.view(), "unknown");
  EXPECT_EQ(report->owner.as_text.view(), "unknown");
  EXPECT_EQ(report->owner.pid, 0);
  EXPECT_EQ(report->acquired_at.module.view(), "unknown");
  EXPECT_EQ(report->held_count, 0u);
  EXPECT_EQ(report->mutex, &all_.mutex(0));
  EXPECT_EQ(report->attempt, 1u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(records_kill_test, a_free_record_keeps_the_names_of_the_unrepaired) {
  // As above, but with one record left: nobody is forgotten without need.
  pin(0, threads - 2);
  expect_refused(all_, 0, errc::owner_died_unrepaired);
  shared_object<report_copy> report;
  const auto repair =
      on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
        *report = death;
        return all_.mend(x, death);
      });
  expect_survivor(all_, 0, true);
  EXPECT_TRUE(report->owner.known);
}

TEST_F(records_kill_test,
       when_all_belong_to_the_living_the_next_thread_is_refused_and_waits_for_none) {
  std::vector<std::unique_ptr<child>> living;
  for (unsigned i = 1; i < threads; ++i) {
    living.push_back(std::make_unique<child>("living " + std::to_string(i), [this](agent& parent) {
      note(all_.seg(), 1);
      parent.tell("here");
      parent.await("end");
    }));
    living.back()->wait_for("here");
  }
  expect_refused(all_, 0, errc::too_many_threads);
  living[0]->tell("end");
  living[0]->expect_exit(0);
  expect_usable(all_);
  for (unsigned i = 1; i < living.size(); ++i) living[i]->tell("end");
  for (unsigned i = 1; i < living.size(); ++i) living[i]->expect_exit(0);
}

TEST_F(records_kill_test, both_spare_records_pinned_by_dead_recoverers_the_older_one_is_taken) {
  const std::vector<pid_t> owners = pin(0, threads - 1);
  // Each of two recoverers dies in the repair of another account: then both spares are named by a
  // lock.
  const auto die_repairing = [&](unsigned index) {
    child recoverer("recoverer", [&](agent&) {
      const auto dying = on_owner_death(all_.mutex(index), [](const owner_death&) {
        kill(getpid(), SIGKILL);
        return repaired;
      });
      recover(all_.seg(), owners[index]);
    });
    recoverer.expect_killed();
    return recoverer.pid();
  };
  die_repairing(0);
  const pid_t second = die_repairing(1);
  ASSERT_EQ(all_.seg().threads_in_use(), threads + 2) << "both spares were to be pinned\n"
                                                      << all_.who_holds_what();
  shared_object<std::array<report_copy, threads>> reports;
  const auto repair =
      on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
        (*reports)[all_.index_of(death.mutex())] = death;
        return all_.mend(x, death);
      });
  expect_survivor(all_, 0, false);
  EXPECT_EQ(all_.repairs(), threads - 1);
  for (unsigned i = 0; i < threads - 1; ++i) expect_usable(all_, i);
  for (unsigned i = 0; i < 2; ++i) {
    EXPECT_EQ((*reports)[i].attempt, 2u);
    EXPECT_EQ((*reports)[i].owner.pid, owners[i]);
  }
  ASSERT_TRUE((*reports)[0].has_former_heir);
  EXPECT_FALSE((*reports)[0].former_heir.known)
      << "its record was the older spare, which the survivor used";
  ASSERT_TRUE((*reports)[1].has_former_heir);
  EXPECT_EQ((*reports)[1].former_heir.pid, second);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

}  // namespace
}  // namespace outlive::testing
