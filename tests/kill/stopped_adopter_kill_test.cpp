// A thread that adopts an orphan stands still, with the segment's adoption mutex: nobody waits for
// it longer than they want to wait at all, or a slice. And what happens to a mutex while a thread
// waits for that adopter: it is adopted, taken by another, given back.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "format/layout.hpp"
#include "mapping/mapping.hpp"
#include "records/entrants.hpp"
#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"
#include "segment/segment_access.hpp"
#include "support/foreign_locks.hpp"
#include "support/orphans.hpp"
#include "support/tid_reuse.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::testing {
namespace {

class stopped_adopter_kill_test : public ::testing::Test {
 protected:
  pthread_mutex_t& adoption() { return bytes().header().adoption.native; }
  detail::mapping& bytes() { return *detail::segment_access::mapping_of(all_.seg()); }
  pthread_mutex_t& native() { return reinterpret_cast<pthread_mutex_t&>(all_.mutex()); }

  pid_t leave_an_orphan() {
    child owner("owner", [&](agent&) {
      die_leaving_orphans(orphan_kind::list_unset, {.acquire = [&] { all_.lock_and_tear(); }});
    });
    expect_orphaned(owner, orphan_kind::list_unset);
    return static_cast<pid_t>(futex_word(native()) & FUTEX_TID_MASK);
  }
  /// Adopts, and stands still before the swap, until it is told "go on".
  void start_an_adopter() {
    adopter_ = std::make_unique<child>("adopter", [&](agent& parent) {
      note(all_.seg(), 1);
      const detail::entrant named(bytes(), detail::internal_kind::adoption);
      ASSERT_EQ(pthread_mutex_lock(&adoption()), 0);
      parent.tell("adopts");
      parent.await("swap");
      EXPECT_TRUE(detail::native_mutex::adopt(native(), futex_word(native())));
      parent.tell("swapped");
      parent.await("leave");
      pthread_mutex_unlock(&adoption());
    });
    adopter_->wait_for("adopts");
  }
  bool is_waited_for() {
    return within(default_timeout(), [&] { return (futex_word(adoption()) & FUTEX_WAITERS) != 0; });
  }

  accounts all_{1, small_segment(), accounts::record::none};
  repair_registration repair_ = all_.mended_here();
  std::unique_ptr<child> adopter_;
};

TEST_F(stopped_adopter_kill_test, a_deadline_is_kept) {
  leave_an_orphan();
  start_an_adopter();
  child locker("locker", [&](agent&) {
    EXPECT_FALSE(all_.mutex().try_lock());
    EXPECT_FALSE(all_.mutex().try_lock_for(milliseconds(50)));
    EXPECT_FALSE(all_.mutex().try_lock_for(milliseconds(400))) << "more than a slice";
  });
  locker.expect_exit(0);
  adopter_->kill();
  adopter_->expect_killed();
  expect_survivor(all_, 0, true);
}

TEST_F(stopped_adopter_kill_test, lock_waits_on_and_gets_the_orphan_once_it_is_gone) {
  leave_an_orphan();
  start_an_adopter();
  child locker("locker", [&](agent&) {
    all_.mutex().lock();
    EXPECT_TRUE(all_.mutex().recovered());
    all_.mutex().unlock();
  });
  ASSERT_TRUE(is_waited_for());
  adopter_->kill();
  adopter_->expect_killed();
  locker.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(stopped_adopter_kill_test, recover_returns_and_recovers_the_next_time) {
  leave_an_orphan();
  start_an_adopter();
  child recoverer("recoverer", [&](agent& parent) {
    auto lines = recover(all_.seg());
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].outcome, recovery_outcome::held_by_another) << to_string(lines[0].outcome);
    parent.tell("returned");
    parent.await("again");
    lines = recover(all_.seg());
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired) << to_string(lines[0].outcome);
    EXPECT_TRUE(lines[0].adopted);
  });
  recoverer.wait_for("returned");
  adopter_->kill();
  adopter_->expect_killed();
  recoverer.tell("again");
  recoverer.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(stopped_adopter_kill_test, a_supervisor_says_so_and_recovers_once_it_is_gone) {
  const pid_t dead = leave_an_orphan();
  start_an_adopter();
  child overseer("overseer", [&](agent& parent) {
    watching watch(all_.seg(), sweeping_often());
    ASSERT_TRUE(watch.until([&] { return !watch.errors.empty(); }));
    EXPECT_NE(watch.errors[0].find("adoption lock"), std::string::npos) << watch.errors[0];
    EXPECT_TRUE(watch.deaths.empty());
    parent.tell("said so");
    ASSERT_TRUE(watch.until_dead(dead));
    EXPECT_EQ(watch.errors.size(), 1u) << "once";
    unsigned repaired = 0;
    for (const auto& each : watch.deaths) {
      for (const auto& line : each.recovered)
        repaired += line.outcome == recovery_outcome::repaired;
    }
    EXPECT_EQ(repaired, 1u);
  });
  overseer.wait_for("said so");
  adopter_->kill();
  adopter_->expect_killed();
  overseer.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

// The word has the caller's own id, a dead one's: EDEADLK. Before the caller has the adoption mutex
// another adopts, and a third thread takes the mutex.
TEST_F(stopped_adopter_kill_test,
       a_mutex_taken_by_another_meanwhile_is_waited_for_and_no_deadlock) {
  if (const auto why = tid_choice_unavailable()) GTEST_SKIP() << *why;
  const pid_t tid = leave_an_orphan();
  start_an_adopter();
  child stranger(
      "stranger",
      [&](agent& parent) {
        std::error_code error;
        all_.mutex().lock(error);
        EXPECT_FALSE(error) << error.message();
        if (!error) all_.mutex().unlock();
        parent.tell("done");
      },
      with_tid(tid));
  ASSERT_TRUE(is_waited_for());
  adopter_->tell("swap");
  adopter_->wait_for("swapped");
  child third("third", all_.holder());
  third.wait_for("inside");
  adopter_->tell("leave");
  adopter_->expect_exit(0);
  // It goes on to wait, for the third.
  EXPECT_TRUE(within(default_timeout(), [&] {
    return stranger.ended() || (futex_word(native()) & FUTEX_WAITERS) != 0;
  }));
  EXPECT_FALSE(stranger.ended());
  third.kill();
  third.expect_killed();
  stranger.wait_for("done");
  stranger.expect_exit(0);
  expect_usable(all_);
}

// One bit of the adoption mutex: nothing could be adopted any more, without a word.
TEST_F(stopped_adopter_kill_test, an_adoption_mutex_that_is_none_is_damage) {
  leave_an_orphan();
  adoption().__data.__kind ^= 16;  // "robust", as glibc has it
  child locker("locker", [&](agent&) {
    std::error_code error;
    all_.mutex().lock(error);
    EXPECT_EQ(error, errc::damaged) << error.message();
    try {
      static_cast<void>(all_.mutex().try_lock_for(milliseconds(1)));
      ADD_FAILURE() << "nothing was said";
    } catch (const std::system_error& failure) {
      EXPECT_NE(std::string(failure.what()).find("adoption lock"), std::string::npos)
          << failure.what();
    }
    const auto lines = recover(all_.seg());
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].error, errc::damaged);
  });
  locker.expect_exit(0);
}

// Who only ever tries gets an orphan, too.
TEST_F(stopped_adopter_kill_test, try_lock_alone_gets_an_orphan) {
  leave_an_orphan();
  child poller("poller", [&](agent&) {
    ASSERT_TRUE(within(default_timeout(), [&] { return all_.mutex().try_lock(); }));
    EXPECT_TRUE(all_.mutex().recovered());
    all_.mutex().unlock();
  });
  poller.expect_exit(0);
  EXPECT_EQ(all_.repairs(), 1u);
  expect_usable(all_);
}

TEST_F(stopped_adopter_kill_test, tries_of_several_mutexes_in_turn_get_their_orphans) {
  auto& seg = all_.seg();
  constexpr unsigned count = 4;
  const auto repair = on_owner_death(seg, "turns", always_consistent);
  std::array<robust_mutex*, count> mutexes{};
  for (unsigned i = 0; i < count; ++i)
    mutexes[i] = &seg.find_or_construct<robust_mutex>("in turn " + std::to_string(i), "turns");
  child owner("owner", [&](agent&) {
    die_leaving_orphans(orphan_kind::list_unset, {.acquire = [&] {
                          for (robust_mutex* each : mutexes) each->lock();
                        }});
  });
  expect_orphaned(owner, orphan_kind::list_unset);
  child poller("poller", [&](agent&) {
    unsigned got = 0;
    ASSERT_TRUE(within(default_timeout(), [&] {
      for (robust_mutex*& each : mutexes) {
        if (each == nullptr || !each->try_lock()) continue;
        each->unlock();
        each = nullptr;
        ++got;
      }
      return got == count;
    }));
  });
  poller.expect_exit(0);
}

TEST_F(stopped_adopter_kill_test, try_lock_and_try_lock_shared_alone_get_an_orphaned_shared_mutex) {
  auto& seg = all_.seg();
  const auto repair = on_owner_death(seg, "shared", always_consistent);
  auto& shared = seg.find_or_construct<robust_shared_mutex>("shared", "shared");
  for (const bool writes : {true, false}) {
    child owner("owner", [&](agent&) {
      die_leaving_orphans(orphan_kind::list_unset, {.acquire = [&] { shared.lock(); }});
    });
    expect_orphaned(owner, orphan_kind::list_unset);
    child poller("poller", [&](agent&) {
      ASSERT_TRUE(within(default_timeout(),
                         [&] { return writes ? shared.try_lock() : shared.try_lock_shared(); }));
      writes ? shared.unlock() : shared.unlock_shared();
    });
    poller.expect_exit(0);
  }
}

}  // namespace
}  // namespace outlive::testing
