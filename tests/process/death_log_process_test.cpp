// The death log: what stands in it, in which order, and what is left of it after more than 256
// deaths.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>

#include <outlive/segment_view.hpp>

#include "scenes/accounts.hpp"

namespace outlive::testing {
namespace {

using std::chrono::system_clock;

class death_log_process_test : public ::testing::Test {
 protected:
  void die_in_a_thread(unsigned index, std::uint64_t what) {
    std::thread([&] {
      note(all_.seg(), what);
      all_.lock_and_tear(index);
    }).join();
  }

  accounts all_{2};
};

TEST_F(death_log_process_test, is_empty_at_first_and_after_ends_in_peace) {
  EXPECT_TRUE(death_log(all_.seg()).empty());
  expect_usable(all_);
  EXPECT_TRUE(death_log(all_.seg()).empty());
}

TEST_F(death_log_process_test, tells_who_died_where_and_who_repaired) {
  const auto before = system_clock::now();
  const pid_t owner = leave_holding(all_, 1);
  const auto repair = all_.mended_here();
  child heir("heir", [&](agent&) {
    note(all_.seg(), 4711);
    EXPECT_TRUE(all_[1].lock().recovered());
  });
  heir.expect_exit(0);
  const auto log = death_log(all_.seg());
  ASSERT_EQ(log.size(), 1u);
  const logged_death& death = log[0];
  EXPECT_EQ(death.number, 1u);
  EXPECT_GE(death.when, before - milliseconds(1));
  EXPECT_LE(death.when, system_clock::now());
  EXPECT_EQ(death.mutex_name, "account 1");
  EXPECT_EQ(death.lock_class, "account");
  EXPECT_EQ(death.mutex_offset,
            static_cast<std::uint64_t>(reinterpret_cast<const char*>(&all_.mutex(1)) -
                                       static_cast<const char*>(all_.seg().base())));
  EXPECT_TRUE(death.owner.known);
  EXPECT_EQ(death.owner.pid, owner);
  EXPECT_EQ(death.owner.tid, owner);
  EXPECT_NE(death.owner.start_time, 0u);
  EXPECT_EQ(death.owner.note, 0u);
  EXPECT_EQ(death.owner.command_name, "death_log_proce");
  EXPECT_NE(death.acquired_at_module.find("/death_log_process_test"), std::string::npos);
  EXPECT_NE(death.acquired_at_offset, 0u);
  EXPECT_TRUE(death.heir.known);
  EXPECT_EQ(death.heir.pid, heir.pid());
  EXPECT_EQ(death.heir.note, 4711u);
  EXPECT_EQ(death.attempt, 1u);
  EXPECT_EQ(death.outcome, death_outcome::repaired);
}

TEST_F(death_log_process_test, each_meeting_is_an_entry_in_order_with_its_outcome) {
  leave_holding(all_);
  expect_refused(all_, 0, errc::owner_died_unrepaired);  // 1: unrepaired
  expect_refused(all_, 0, errc::owner_died_unrepaired);  // known already: no entry
  {
    const auto fails = on_owner_death(all_.mutex(), [](const owner_death&) { return failed; });
    expect_refused(all_, 0, errc::repair_failed);  // 2: failed
  }
  {
    const auto throws = on_owner_death(
        all_.mutex(), [](const owner_death&) -> repair_result { throw std::runtime_error("no"); });
    expect_refused(all_, 0, errc::repair_failed);  // 3: failed
  }
  child dying("dying heir", [&](agent&) {
    const auto dies =
        on_owner_death(all_.mutex(), [](const owner_death&) -> repair_result { _exit(0); });
    all_.mutex().lock();  // 4: stays "repairing"
  });
  dying.expect_exit(0);
  const auto repair = all_.mended_here();
  expect_refused(all_, 0, errc::not_recoverable);  // 5: attempts are used up
  expect_refused(all_, 0, errc::not_recoverable);  // known already
  const auto log = death_log(all_.seg());
  ASSERT_EQ(log.size(), 5u);
  const death_outcome outcomes[] = {death_outcome::unrepaired, death_outcome::failed,
                                    death_outcome::failed, death_outcome::repairing,
                                    death_outcome::not_recoverable};
  const unsigned attempts[] = {0, 1, 2, 3, 0};
  const bool met_before[] = {false, true, true, true, false};  // the last one is the heir's death
  for (std::size_t i = 0; i < log.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(log[i].number, i + 1);
    EXPECT_EQ(log[i].outcome, outcomes[i]) << to_string(log[i].outcome);
    EXPECT_EQ(log[i].attempt, attempts[i]);
    EXPECT_EQ(log[i].met_before, met_before[i]);
    EXPECT_GE(log[i].when, log[i == 0 ? 0 : i - 1].when);
    EXPECT_EQ(log[i].owner.pid, log[0].owner.pid);
  }
  EXPECT_EQ(log[3].heir.pid, dying.pid());
  const segment_view view(all_.seg());
  EXPECT_EQ(view.death_count(), 2u) << "the owner's and the heir's";
  EXPECT_EQ(view.meeting_count(), 5u);
}

TEST_F(death_log_process_test, three_deaths_that_are_met_four_times_are_three) {
  const segment_view view(all_.seg());
  const pid_t first = leave_holding(all_, 0);
  leave_holding(all_, 1);
  auto pending = view.pending_deaths();
  ASSERT_EQ(pending.size(), 2u);
  const bool is_first = pending[0].owner.pid == first;
  EXPECT_EQ(pending[is_first ? 0 : 1].owner.pid, first);
  EXPECT_EQ(pending[is_first ? 0 : 1].held.mutex_name, "account 0");
  EXPECT_EQ(pending[is_first ? 0 : 1].held.lock_class, "account");
  EXPECT_FALSE(pending[0].repairing);
  EXPECT_EQ(view.death_count(), 0u);

  expect_refused(all_, 0, errc::owner_died_unrepaired);
  pending = view.pending_deaths();
  ASSERT_EQ(pending.size(), 1u) << "the other one was met";
  EXPECT_EQ(pending[0].held.mutex_name, "account 1");
  const auto repair = all_.mended_here();
  expect_survivor(all_, 0, true);
  expect_survivor(all_, 1, true);
  leave_holding(all_, 1);
  expect_survivor(all_, 1, true);
  EXPECT_TRUE(view.pending_deaths().empty());
  EXPECT_EQ(view.death_count(), 3u);
  EXPECT_EQ(view.meeting_count(), 4u);
  EXPECT_EQ(death_log(all_.seg()).size(), 4u);
}

TEST_F(death_log_process_test, the_last_failure_is_told_as_not_recoverable) {
  leave_holding(all_);
  const auto fails = on_owner_death(all_.mutex(), [](const owner_death&) { return failed; });
  for (int i = 0; i < 3; ++i) expect_refused(all_, 0, errc::repair_failed);
  const auto log = death_log(all_.seg());
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[1].outcome, death_outcome::failed);
  EXPECT_EQ(log[2].outcome, death_outcome::not_recoverable);
  EXPECT_EQ(log[2].attempt, 3u);
}

TEST_F(death_log_process_test, keeps_the_last_256) {
  const auto repair = all_.mended_here();
  constexpr std::uint64_t deaths = 256 + 40;
  child process("process", [&](agent&) {
    for (std::uint64_t i = 1; i <= deaths; ++i) {
      die_in_a_thread(i % 2, 1000 + i);
      ASSERT_TRUE(all_[i % 2].lock().recovered());
      const auto log = death_log(all_.seg());
      ASSERT_EQ(log.size(), std::min<std::uint64_t>(i, 256));
      ASSERT_EQ(log.back().number, i);
    }
  });
  process.expect_exit(0);
  const auto log = death_log(all_.seg());
  ASSERT_EQ(log.size(), 256u);
  for (std::size_t i = 0; i < log.size(); ++i) {
    const std::uint64_t number = deaths - 256 + 1 + i;
    EXPECT_EQ(log[i].number, number);
    EXPECT_EQ(log[i].owner.note, 1000 + number);
    EXPECT_EQ(log[i].mutex_name, "account " + std::to_string(number % 2));
    EXPECT_EQ(log[i].outcome, death_outcome::repaired);
  }
}

TEST_F(death_log_process_test, a_reader_beside_writers_sees_whole_entries_only) {
  const auto repair = all_.mended_here();
  shared_value<std::uint32_t> stop;
  child writer("writer", [&](agent&) {
    for (std::uint64_t i = 1; stop.load() == 0; ++i) {
      die_in_a_thread(0, i);
      ASSERT_TRUE(all_[0].lock().recovered());
    }
  });
  std::uint64_t last = 0;
  ASSERT_TRUE(within(default_timeout(),
                     [&] {
                       const auto log = death_log(all_.seg());
                       for (const auto& death : log) {
                         EXPECT_EQ(death.owner.note, death.number) << "bytes of two entries";
                         EXPECT_EQ(death.owner.pid, writer.pid());
                         EXPECT_EQ(death.mutex_name, "account 0");
                       }
                       if (!log.empty()) last = log.back().number;
                       return last > 600 || HasFailure();
                     }))
      << "only " << last << " deaths";
  stop.store(1);
  writer.expect_exit(0);
}

}  // namespace
}  // namespace outlive::testing
