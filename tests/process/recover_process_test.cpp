// recover(): its lines one by one, with each outcome, and from where it may be called.
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "format/layout.hpp"
#include "scenes/accounts.hpp"
#include "scenes/report_copy.hpp"
#include "scenes/thrown.hpp"

namespace outlive::testing {
namespace {

/// Keyed by the mutex's name; each may stand there once only.
std::map<std::string, recovered_mutex> by_name(const std::vector<recovered_mutex>& lines) {
  std::map<std::string, recovered_mutex> result;
  for (const auto& line : lines) {
    if (!result.emplace(line.mutex_name, line).second)
      ADD_FAILURE() << "two lines for " << line.mutex_name;
  }
  return result;
}

class recover_process_test : public ::testing::Test {
 protected:
  pid_t leave_holding_all(std::initializer_list<unsigned> which) {
    child owner("owner", [&](agent&) {
      for (const unsigned i : which) all_.lock_and_tear(i);
      _exit(0);
    });
    owner.expect_exit(0);
    return owner.pid();
  }

  accounts all_{5};
};

TEST_F(recover_process_test, with_nobody_dead_there_is_no_line) {
  const auto repair = all_.mended_here();
  EXPECT_TRUE(recover(all_.seg()).empty());
  child living("living", [&](agent& parent) {
    all_.mutex().lock();
    parent.tell("inside");
    parent.await("leave");
    all_.mutex().unlock();
  });
  living.wait_for("inside");
  EXPECT_TRUE(recover(all_.seg()).empty()) << "the living were recovered";
  EXPECT_TRUE(recover(all_.seg(), living.pid()).empty());
  EXPECT_FALSE(all_.mutex().try_lock());
  living.tell("leave");
  living.expect_exit(0);
  EXPECT_TRUE(recover(all_.seg(), living.pid()).empty());
  EXPECT_TRUE(recover(all_.seg(), 1).empty()) << "no participant";
  EXPECT_EQ(all_.repairs(), 0u);
}

TEST_F(recover_process_test, tells_of_each_mutex_what_it_found_and_did) {
  const pid_t owner = leave_holding_all({0, 1, 2, 3});
  // 0: by the class's repair; 1: its own fails; 2: used up before; 3: taken by a living thread that
  // repairs it.
  const auto by_class = all_.mended_here();
  const auto fails = on_owner_death(all_.mutex(1), [](const owner_death&) { return failed; });
  {
    const auto three_times =
        on_owner_death(all_.mutex(2), [](const owner_death&) { return failed; });
    std::error_code error;
    for (int i = 0; i < 2; ++i) all_.mutex(2).lock(error);
  }
  const auto throws =
      on_owner_death(all_.mutex(2), [](const owner_death&) -> repair_result { throw 1; });
  child heir("heir", [&](agent& parent) {
    const auto slow = on_owner_death(all_.mutex(3), [&](const owner_death&) {
      parent.tell("repairing");
      parent.await("go on");
      return repaired;
    });
    all_.mutex(3).lock();
    all_.mutex(3).unlock();
  });
  heir.wait_for("repairing");

  const auto lines = by_name(recover(all_.seg()));
  ASSERT_EQ(lines.size(), 4u);
  for (unsigned i = 0; i < 4; ++i) {
    const auto& line = lines.at("account " + std::to_string(i));
    EXPECT_EQ(line.mutex, &all_.mutex(i));
    EXPECT_EQ(line.lock_class, "account");
    EXPECT_EQ(line.pid, owner);
    EXPECT_EQ(line.tid, owner);
    EXPECT_FALSE(line.adopted);
  }
  EXPECT_EQ(lines.at("account 0").outcome, recovery_outcome::repaired);
  EXPECT_FALSE(lines.at("account 0").error);
  EXPECT_EQ(lines.at("account 1").outcome, recovery_outcome::unrepaired);
  EXPECT_EQ(lines.at("account 1").error, errc::repair_failed);
  EXPECT_EQ(lines.at("account 2").outcome, recovery_outcome::unrepaired)
      << "the last attempt failed just now";
  EXPECT_EQ(lines.at("account 2").error, errc::repair_failed);
  EXPECT_EQ(lines.at("account 3").outcome, recovery_outcome::held_by_another);
  heir.tell("go on");
  heir.expect_exit(0);

  const auto later = by_name(recover(all_.seg()));
  ASSERT_EQ(later.size(), 1u) << "all others are settled, one way or the other";
  EXPECT_EQ(later.at("account 1").error, errc::repair_failed);
  std::error_code error;
  all_.mutex(2).lock(error);
  EXPECT_EQ(error, errc::not_recoverable);
  expect_usable(all_, 0);
}

// The header's count of records is for tools: what a stray write makes of it hides no dead owner.
TEST_F(recover_process_test, whatever_the_count_of_records_says) {
  const auto repair = all_.mended_here();
  auto& header = *static_cast<detail::segment_header*>(const_cast<void*>(all_.seg().base()));
  for (const std::uint32_t count : {0U, 0xffffffffU}) {
    leave_holding_all({0});
    header.records_in_use.store(count);
    EXPECT_EQ(recover(all_.seg()).size(), 1u) << count;
    expect_usable(all_);
  }
  EXPECT_EQ(all_.repairs(), 2u);
}

TEST_F(recover_process_test, without_a_repair_it_says_so_each_time_and_counts_no_attempt) {
  const pid_t owner = leave_holding_all({0, 1});
  for (int i = 0; i < 5; ++i) {
    const auto lines = by_name(recover(all_.seg()));
    ASSERT_EQ(lines.size(), 2u);
    for (const auto& [name, line] : lines) {
      EXPECT_EQ(line.outcome, recovery_outcome::unrepaired);
      EXPECT_EQ(line.error, errc::owner_died_unrepaired);
      EXPECT_EQ(line.pid, owner);
    }
  }
  const auto repair =
      on_owner_death<account>(all_.seg(), "account", [&](account& x, const owner_death& death) {
        EXPECT_EQ(death.attempt(), 1u);
        EXPECT_EQ(death.owner().pid, owner);
        return all_.mend(x, death);
      });
  for (const auto& [name, line] : by_name(recover(all_.seg())))
    EXPECT_EQ(line.outcome, recovery_outcome::repaired) << name;
  EXPECT_EQ(all_.repairs(), 2u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(recover_process_test, of_one_process_leaves_the_others_as_they_are) {
  const pid_t first = leave_holding_all({0, 1});
  const pid_t second = leave_holding_all({2});
  const auto repair = all_.mended_here();
  const auto lines = recover(all_.seg(), second);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].mutex_name, "account 2");
  EXPECT_EQ(lines[0].pid, second);
  EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired);
  EXPECT_EQ(all_.repairs(), 1u);
  EXPECT_EQ(recover(all_.seg(), first).size(), 2u);
  EXPECT_EQ(all_.repairs(), 3u);
  EXPECT_TRUE(recover(all_.seg()).empty());
}

TEST_F(recover_process_test, of_a_dead_thread_of_a_living_process) {
  const auto repair = all_.mended_here();
  child process("process", [&](agent& parent) {
    pid_t tid = 0;
    std::thread([&] {
      tid = gettid();
      all_.lock_and_tear(0);
    }).join();
    all_.mutex(1).lock();
    // by another thread of that process, which holds a mutex itself
    const auto lines = recover(all_.seg(), getpid());
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].mutex_name, "account 0");
    EXPECT_EQ(lines[0].pid, getpid());
    EXPECT_EQ(lines[0].tid, tid);
    EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired);
    all_.mutex(1).unlock();
    parent.tell("done");
  });
  process.wait_for("done");
  process.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(recover_process_test, while_the_caller_and_others_hold_other_mutexes) {
  leave_holding_all({0, 1});
  const auto repair = all_.mended_here();
  child living("living", [&](agent& parent) {
    all_.mutex(2).lock();
    parent.tell("inside");
    parent.await("leave");
    all_.mutex(2).unlock();
  });
  living.wait_for("inside");
  all_.mutex(3).lock();
  EXPECT_EQ(recover(all_.seg()).size(), 2u);
  EXPECT_EQ(all_.repairs(), 2u);
  std::error_code error;
  all_.mutex(3).unlock(error);
  EXPECT_FALSE(error) << "recover() has given away what its caller holds: " << error.message();
  EXPECT_FALSE(all_.mutex(2).try_lock());
  living.tell("leave");
  living.expect_exit(0);
}

TEST_F(recover_process_test, does_not_keep_what_it_recovers) {
  leave_holding_all({0});
  const auto repair = all_.mended_here();
  recover(all_.seg());
  EXPECT_FALSE(all_.mutex().recovered());
  std::error_code error;
  all_.mutex().unlock(error);
  EXPECT_EQ(error, errc::not_owner);
  expect_usable(all_);
}

TEST_F(recover_process_test, in_a_forked_child_works_on_its_own_account) {
  leave_holding_all({0});
  const auto repair = all_.mended_here();
  all_.mutex(1).lock();
  child forked("forked", [&](agent&) {
    const auto lines = recover(all_.seg());
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired);
    EXPECT_FALSE(all_.mutex(1).try_lock()) << "the parent's mutex was taken for a dead one's";
  });
  forked.expect_exit(0);
  all_.mutex(1).unlock();
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(recover_process_test, a_repair_that_throws_or_forks_is_told_and_not_thrown) {
  leave_holding_all({0, 1});
  const auto throws = on_owner_death(
      all_.mutex(0), [](const owner_death&) -> repair_result { throw std::runtime_error("no"); });
  child process("process", [&](agent&) {
    const pid_t self = getpid();
    const auto forks = on_owner_death(all_.mutex(1), [](const owner_death&) {
      if (fork() == 0) return failed;
      return repaired;
    });
    const thrown error = thrown::by([&] {
      const auto lines = by_name(recover(all_.seg()));
      EXPECT_EQ(lines.at("account 0").error, errc::repair_failed);
      EXPECT_EQ(lines.at("account 1").outcome, recovery_outcome::repaired);
    });
    if (getpid() != self) _exit(error.code == errc::forked_in_repair ? 0 : 1);
    EXPECT_FALSE(error.code) << error.messages;
  });
  process.expect_exit(0);
  EXPECT_TRUE(all_.mutex(1).try_lock());
  EXPECT_FALSE(all_.mutex(1).recovered());
  all_.mutex(1).unlock();
}

TEST_F(recover_process_test, several_threads_at_once_repair_each_mutex_once) {
  const auto repair = all_.mended_here();
  for (unsigned round = 1; round <= 20; ++round) {
    leave_holding_all({0, 1, 2, 3, 4});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { recover(all_.seg()); });
    for (auto& each : threads) each.join();
    recover(all_.seg());
    for (unsigned i = 0; i < all_.size(); ++i) EXPECT_EQ(all_.repairs(i), round);
  }
}

}  // namespace
}  // namespace outlive::testing
