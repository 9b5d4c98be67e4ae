// Ends of registrations at bad moments: in their own repair as the last that keeps the segment
// open, beside a running repair, over a fork.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

/// A mutex whose owner is dead, in a segment that the registration alone keeps open.
class registration_ends_process_test : public ::testing::Test {
 protected:
  /// What a callback owns. Its end is looked at: on which thread, and whether as a part of a
  /// repair.
  class owned {
   public:
    explicit owned(registration_ends_process_test& test) : test_(test) {}
    owned(const owned&) = delete;
    owned& operator=(const owned&) = delete;
    ~owned() {
      std::error_code error;
      test_.free_->lock(error);
      test_.ended_in_repair_ = error == errc::in_repair;
      if (!error) test_.free_->unlock();
      test_.ended_on_ = gettid();
    }

   private:
    registration_ends_process_test& test_;
  };

  void leave_held() {
    child owner("owner", [&](agent&) {
      mutex_->lock();
      _exit(0);
    });
    owner.expect_exit(0);
  }
  /// The repair takes itself out; nothing else keeps the segment open.
  void register_the_last(repair_result result) {
    registration_ =
        on_owner_death(*segment_, "class",
                       [this, result, kept = std::make_shared<owned>(*this)](const owner_death&) {
                         registration_.reset();
                         EXPECT_EQ(ended_on_, 0) << "the callback has not returned yet";
                         return result;
                       });
    leave_held();
    segment_.reset();
  }
  void expect_end_in_the_repair() {
    EXPECT_EQ(ended_on_, gettid());
    EXPECT_TRUE(ended_in_repair_);
  }

  std::optional<segment> segment_{segment::anonymous(small_segment())};
  robust_mutex* mutex_ = &segment_->find_or_construct<robust_mutex>("m", "class");
  segment elsewhere_ = segment::anonymous(small_segment());
  robust_mutex* free_ = &elsewhere_.find_or_construct<robust_mutex>("free", "class");
  repair_registration registration_;
  pid_t ended_on_ = 0;
  bool ended_in_repair_ = false;
};

TEST_F(registration_ends_process_test,
       a_failing_repair_that_takes_out_the_last_one_leaves_a_thread_that_works) {
  register_the_last(failed);
  std::error_code error;
  mutex_->lock(error);
  EXPECT_EQ(error, errc::repair_failed);
  expect_end_in_the_repair();
  mutex_->lock(error);  // the thread's record keeps it mapped
  EXPECT_EQ(error, errc::owner_died_unrepaired);
}

TEST_F(registration_ends_process_test, the_error_that_is_thrown_tells_of_a_mutex_that_is_mapped) {
  register_the_last(failed);
  const thrown error = thrown::by([&] { mutex_->lock(); });
  EXPECT_EQ(error.code, errc::repair_failed) << error.messages;
  EXPECT_NE(error.messages.find("class"), std::string::npos) << error.messages;
}

TEST_F(registration_ends_process_test,
       a_repair_that_takes_out_the_last_one_and_succeeds_lets_its_heir_in) {
  register_the_last(repaired);
  mutex_->lock();
  EXPECT_TRUE(mutex_->recovered());
  expect_end_in_the_repair();
  mutex_->unlock();
  mutex_->lock();
  mutex_->unlock();
}

TEST_F(registration_ends_process_test, what_a_repair_throws_may_own_the_last_one) {
  struct loot : std::runtime_error {
    explicit loot(repair_registration&& from)
        : std::runtime_error("loot"),
          kept(std::make_shared<repair_registration>(std::move(from))) {}
    std::shared_ptr<repair_registration> kept;
  };
  registration_ = on_owner_death(
      *segment_, "class",
      [this, kept = std::make_shared<owned>(*this)](const owner_death&) -> repair_result {
        *segment_ = segment::anonymous(small_segment());
        throw loot(std::move(registration_));
      });
  leave_held();
  auto& second = segment_->find_or_construct<robust_mutex>("second", "class");
  child owner("second owner", [&](agent&) {
    second.lock();
    _exit(0);
  });
  owner.expect_exit(0);
  const auto lines = recover(*segment_);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].error, errc::repair_failed);
  EXPECT_EQ(lines[1].error, errc::owner_died_unrepaired);
  expect_end_in_the_repair();
}

TEST_F(registration_ends_process_test,
       its_callback_ends_on_the_thread_that_takes_it_out_of_a_running_repair) {
  // Both threads on one processor, and the heir only when the other one rests: then the heir is
  // stopped at once when it says that it is done.
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  for (int round = 0; round < 30; ++round) {
    shared_value<std::uint32_t> inside, let_go;
    std::optional<repair_registration> repair(on_owner_death(
        *segment_, "class", [&, kept = std::make_shared<owned>(*this)](const owner_death&) {
          inside.store(1);
          EXPECT_TRUE(let_go.wait_equal(1));
          const sched_param none{};
          EXPECT_EQ(sched_setscheduler(0, SCHED_IDLE, &none), 0);
          return repaired;
        }));
    ended_on_ = 0;
    std::thread([&] { mutex_->lock(); }).join();  // as far as the mutex goes, its owner died
    std::thread heir([&] {
      mutex_->lock();
      mutex_->unlock();
    });
    ASSERT_TRUE(inside.wait_equal(1));
    pid_t remover_tid = 0;
    pid_t ended_on = 0;
    shared_value<pid_t> resting;
    std::thread remover([&] {
      remover_tid = gettid();
      resting.store(remover_tid);
      repair.reset();
      ended_on = ended_on_;
    });
    ASSERT_TRUE(resting.wait([](pid_t tid) { return tid != 0; }));
    EXPECT_TRUE(within(default_timeout(), [&] { return task_state(resting.load()) == 'S'; }));
    let_go.store(1);
    heir.join();
    remover.join();
    ASSERT_EQ(ended_on, remover_tid) << "round " << round;
  }
}

/// Starts a repair of mutex `index` in one thread, and the end of its registration in another;
/// `between` runs while that waits.
template <class Between>
void end_beside_a_repair(const accounts& all, unsigned index, Between between) {
  shared_value<std::uint32_t> inside, let_go, taken_out;
  shared_value<pid_t> remover_tid;
  auto repair = on_owner_death(all.mutex(index), [&](const owner_death&) {
    inside.store(1);
    EXPECT_TRUE(let_go.wait_equal(1));
    EXPECT_EQ(taken_out.load(), 0u) << "the registration's end did not wait";
    all.value(index).mend();
    return repaired;
  });
  leave_holding(all, index);
  std::thread heir([&] {
    all.mutex(index).lock();
    all.mutex(index).unlock();
  });
  EXPECT_TRUE(inside.wait_equal(1));
  std::thread remover([&] {
    remover_tid.store(gettid());
    repair.reset();
    taken_out.store(1);
  });
  EXPECT_TRUE(remover_tid.wait([](pid_t tid) { return tid != 0; }));
  EXPECT_TRUE(within(default_timeout(), [&] { return task_state(remover_tid.load()) == 'S'; }));
  try {
    between(repair);
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  let_go.store(1);
  heir.join();
  remover.join();
}

// ThreadSanitizer takes a thread of the child, whose stack had a thread of the parent, for that
// one, and ends the child: "dup thread with used id".
#ifndef __SANITIZE_THREAD__
TEST(registration_and_fork_process_test,
     a_child_of_a_process_where_one_waits_for_its_end_can_wait_for_others) {
  accounts all(2);
  end_beside_a_repair(all, 0, [&](repair_registration&) {
    child forked("forked", [&](agent&) {
      for (int round = 0; round < 4; ++round)
        end_beside_a_repair(all, 1, [](repair_registration&) {});
    });
    forked.expect_exit(0);
  });
  expect_usable(all, 1);
}
#endif

TEST(registration_and_fork_process_test,
     a_child_that_ends_an_inherited_one_again_takes_nobody_elses_out) {
  accounts all;
  end_beside_a_repair(all, 0, [&](repair_registration& inherited) {
    child forked("forked", [&](agent&) {
      const auto own = on_owner_death(all.mutex(), always_consistent);
      inherited.reset();
      EXPECT_EQ(
          thrown::by([&] { auto again = on_owner_death(all.mutex(), always_consistent); }).code,
          errc::already_registered);
    });
    forked.expect_exit(0);
  });
}

TEST(registration_and_fork_process_test,
     the_end_of_a_repair_that_forked_counts_for_none_of_the_childs) {
  accounts all(2);
  leave_holding(all, 0);
  leave_holding(all, 1);
  child heir("heir", [&](agent&) {
    const pid_t self = getpid();
    shared_value<std::uint32_t> inside, let_go, taken_out;
    shared_value<pid_t> remover_tid;
    std::thread second;
    auto repair = on_owner_death(all.seg(), "account", [&](const owner_death& death) {
      if (all.index_of(death.mutex()) == 1) {
        inside.store(1);
        const bool in_time = let_go.wait_equal(1);
        return in_time && taken_out.load() == 0 ? repaired : failed;
      }
      const pid_t forked = fork();
      if (forked == 0) {
        second = std::thread([&] {
          std::error_code error;
          all.mutex(1).lock(error);
          if (error) _exit(1);
          all.mutex(1).unlock();
        });
        if (!inside.wait_equal(1)) _exit(2);
        return repaired;
      }
      int status = 0;
      EXPECT_EQ(waitpid(forked, &status, 0), forked);
      EXPECT_TRUE(WIFEXITED(status));
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return repaired;
    });
    std::error_code error;
    all.mutex(0).lock(error);
    if (getpid() != self) {
      if (error != errc::forked_in_repair) _exit(3);
      std::thread remover([&] {
        remover_tid.store(gettid());
        repair.reset();
        taken_out.store(1);
      });
      if (!remover_tid.wait([](pid_t tid) { return tid != 0; })) _exit(4);
      if (!within(default_timeout(),
                  [&] { return taken_out.load() != 0 || task_state(remover_tid.load()) == 'S'; }))
        _exit(5);
      let_go.store(1);
      second.join();
      remover.join();
      _exit(0);
    }
    EXPECT_FALSE(error) << error.message();
    all.mutex(0).unlock();
  });
  heir.expect_exit(0);
}

}  // namespace
}  // namespace outlive::testing
