// After an owner's death, within one process: the repair, what it is told, and what a process
//   without one gets.
#include <outlive/death_log.hpp>
#include <outlive/note.hpp>
#include <outlive/recover.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct robust_mutex_repair : ::testing::Test {
  test_name name;
  segment seg = segment::create(name);
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  int runs = 0;

  repair_callback counting(repair_result result = repaired) {
    return [this, result](const owner_death&) {
      ++runs;
      return result;
    };
  }
  std::string described() const { return name.quoted() + ", mutex \"mutex\" of class \"class\""; }
};

TEST_F(robust_mutex_repair, the_repair_runs_once_and_the_heir_is_told) {
  const auto kept = on_owner_death(seg, "class", counting());
  die_holding(mutex);
  mutex.lock();
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(mutex.recovered());
  elsewhere([&] { EXPECT_FALSE(mutex.recovered()); });  // it is not theirs
  mutex.unlock();
  EXPECT_FALSE(mutex.recovered());
  mutex.lock();
  EXPECT_EQ(runs, 1);
  EXPECT_FALSE(mutex.recovered());
  mutex.unlock();
}

TEST_F(robust_mutex_repair, every_way_to_acquire_repairs) {
  const auto kept = on_owner_death(seg, "class", counting());
  std::error_code error;
  const std::function<void()> ways[] = {
      [&] { mutex.lock(); },
      [&] { mutex.lock(error); },
      [&] { EXPECT_TRUE(mutex.try_lock()); },
      [&] { EXPECT_TRUE(mutex.try_lock(error)); },
      [&] { EXPECT_TRUE(mutex.try_lock_for(std::chrono::seconds(1))); },
      [&] {
        EXPECT_TRUE(mutex.try_lock_until(std::chrono::system_clock::now() + std::chrono::seconds(1),
                                         error));
      },
  };
  int expected = 0;
  for (const auto& acquire : ways) {
    die_holding(mutex);
    acquire();
    EXPECT_FALSE(error) << error.message();
    EXPECT_EQ(runs, ++expected);
    EXPECT_TRUE(mutex.recovered());
    mutex.unlock();
  }
  die_holding(mutex);
  EXPECT_EQ(recover(seg).size(), 1U);
  EXPECT_EQ(runs, expected + 1);
}

TEST_F(robust_mutex_repair, without_a_repair_the_mutex_is_refused_until_there_is_one) {
  die_holding(mutex);
  for (int i = 0; i < 5; ++i) {  // more often than there are attempts
    expect_error(errc::owner_died_unrepaired,
                 {described(), "the owner died, and this process has no repair"},
                 [&] { mutex.lock(); });
    EXPECT_EQ(lock_code(mutex), errc::owner_died_unrepaired);
    expect_error(errc::owner_died_unrepaired, {described()}, [&] { (void)mutex.try_lock(); });
  }
  const auto kept = on_owner_death(seg, "class", [&](const owner_death& death) {
    ++runs;
    EXPECT_EQ(death.attempt(), 1U);  // looking in vain was no attempt
    return repaired;
  });
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(runs, 1);
}

TEST_F(robust_mutex_repair, a_repair_that_fails_or_throws_uses_attempts_up) {
  int attempt = 0;
  auto kept = on_owner_death(seg, "class", [&](const owner_death& death) -> repair_result {
    EXPECT_EQ(death.attempt(), static_cast<unsigned>(++attempt));
    EXPECT_EQ(death.max_attempts(), 3U);
    if (attempt == 2) throw std::runtime_error("no luck");
    return failed;
  });
  die_holding(mutex);
  expect_error(errc::repair_failed, {described(), "the owner died, and the repair failed"},
               [&] { mutex.lock(); });
  try {
    mutex.lock();
    ADD_FAILURE() << "locked";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::repair_failed);
    try {
      std::rethrow_if_nested(error);
      ADD_FAILURE() << "nothing nested";
    } catch (const std::runtime_error& inner) {
      EXPECT_STREQ(inner.what(), "no luck");
    }
  }
  EXPECT_EQ(lock_code(mutex), errc::repair_failed);
  // Three were allowed.
  kept.reset();
  const auto late = on_owner_death(seg, "class", counting());
  for (int i = 0; i < 2; ++i) {
    expect_error(errc::not_recoverable, {described(), "not recoverable"}, [&] { mutex.lock(); });
    EXPECT_EQ(lock_code(mutex), errc::not_recoverable);
  }
  EXPECT_EQ(runs, 0);
}

TEST_F(robust_mutex_repair, the_report_tells_who_died_and_what_it_noted) {
  auto& other = seg.find_or_construct<robust_mutex>("other", "class");
  pid_t tid = 0;
  const auto kept = on_owner_death(mutex, [&](const owner_death& death) {
    ++runs;
    EXPECT_TRUE(death.owner().known);
    EXPECT_EQ(death.owner().pid, getpid());
    EXPECT_EQ(death.owner().tid, tid);
    EXPECT_GT(death.owner().start_time, 0U);
    EXPECT_EQ(death.owner().note, 4711U);
    EXPECT_EQ(death.owner().thread_name, "a victim");
    EXPECT_EQ(death.former_heir(), nullptr);
    EXPECT_EQ(death.held_count(), 1U);
    EXPECT_FALSE(death.held_cut());
    EXPECT_EQ(death.held(0).mutex, &other);
    EXPECT_NE(death.acquired_at().where().find("robust_mutex_repair_test"), std::string::npos)
        << death.acquired_at().where();
    return repaired;
  });
  note(seg, 1);  // this thread's is its own
  elsewhere([&] {
    tid = gettid();
    pthread_setname_np(pthread_self(), "a victim");
    other.lock();
    mutex.lock();
    // after the lock, which would otherwise be left by a jump: its return address would be the
    // caller's
    note(seg, 4711);
  });
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(runs, 1);
  const auto log = death_log(seg);
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].number, 1U);
  EXPECT_EQ(log[0].mutex_name, "mutex");
  EXPECT_EQ(log[0].lock_class, "class");
  EXPECT_EQ(log[0].owner.tid, tid);
  EXPECT_EQ(log[0].owner.note, 4711U);
  EXPECT_EQ(log[0].heir.tid, gettid());
  EXPECT_EQ(log[0].outcome, death_outcome::repaired);
  EXPECT_EQ(log[0].attempt, 1U);
}

TEST_F(robust_mutex_repair, lock_in_a_repair_is_refused_and_try_lock_works) {
  auto& other = seg.find_or_construct<robust_mutex>("other", "class");
  const auto kept = on_owner_death(seg, "class", [&](const owner_death&) {
    ++runs;
    expect_error(errc::in_repair, {name.quoted(), "mutex \"other\"", "not allowed inside a repair"},
                 [&] { other.lock(); });
    expect_error(errc::in_repair, {described()}, [&] { mutex.lock(); });
    expect_error(errc::in_repair, {name.quoted(), "recover()"}, [&] { (void)recover(seg); });
    expect_error(errc::not_owner, {described()}, [&] { mutex.unlock(); });
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_TRUE(other.try_lock());
    other.unlock();
    return repaired;
  });
  die_holding(mutex);
  mutex.lock();
  EXPECT_EQ(runs, 1);
  other.lock();  // allowed again
  other.unlock();
  mutex.unlock();
}

}  // namespace
}  // namespace outlive::testing
