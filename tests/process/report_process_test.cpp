// The report of an owner's death: each thing that it tells, against what the owner said of itself
// while it lived.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/report_copy.hpp"

// Places that a report must find again by name. Each does something after the call, which would be
// a jump otherwise.
extern "C" {
[[gnu::noinline]] void outlive_test_acquires_the_victim_lock(outlive::robust_mutex& mutex) {
  mutex.lock();
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] bool outlive_test_acquires_another_lock(outlive::robust_mutex& mutex) {
  const bool got = mutex.try_lock();
  asm volatile("" ::: "memory");
  return got;
}
[[gnu::noinline]] void outlive_test_acquires_by_a_guard(
    outlive::guarded<outlive::testing::account>& all) {
  auto x = all.lock();
  _exit(static_cast<int>(x->a - 500));
}
[[gnu::noinline]] bool outlive_test_acquires_a_third_lock(outlive::robust_mutex& mutex) {
  const bool got = mutex.try_lock_for(std::chrono::seconds(10));
  asm volatile("" ::: "memory");
  return got;
}
}

namespace outlive::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

/// What the owner knows of itself, from /proc and not from the library.
struct self_portrait {
  pid_t pid = 0;
  pid_t tid = 0;
  std::uint64_t start_time = 0;

  static self_portrait now() {
    std::ifstream stat("/proc/" + std::to_string(gettid()) + "/stat");
    std::stringstream text;
    text << stat.rdbuf();
    const std::string all = text.str();
    std::istringstream fields(all.substr(all.rfind(')') + 2));
    std::string field;
    for (int i = 3; i <= 22; ++i) fields >> field;
    return {getpid(), gettid(), std::stoull(field)};
  }
};

class report_process_test : public ::testing::Test {
 protected:
  repair_registration reporting() {
    return on_owner_death<account>(all_.seg(), "account",
                                   [this](account& x, const owner_death& death) {
                                     *report_ = death;
                                     return all_.mend(x, death);
                                   });
  }

  /// An owner on a thread of its own, with names and a note, that holds three accounts.
  void leave_with_three() {
    child owner("owner",
                [this](agent&) {
                  prctl(PR_SET_NAME, "accountant");
                  note(all_.seg(), 0x123456789abcdef0);
                  outlive_test_acquires_another_lock(all_.mutex(1));
                  outlive_test_acquires_the_victim_lock(all_.mutex(0));
                  outlive_test_acquires_a_third_lock(all_.mutex(2));
                  *owner_ = self_portrait::now();
                  all_.value(0).tear();
                  _exit(0);
                },
                {.second_thread = true});
    owner.expect_exit(0);
  }

  void check_the_three(const report_copy& report) const {
    EXPECT_EQ(report.mutex, &all_.mutex(0));
    EXPECT_EQ(report.mutex_name.view(), "account 0");
    EXPECT_EQ(report.lock_class.view(), "account");
    EXPECT_TRUE(report.owner.known);
    EXPECT_EQ(report.owner.pid, owner_->pid);
    EXPECT_EQ(report.owner.tid, owner_->tid);
    EXPECT_NE(report.owner.tid, report.owner.pid) << "a second thread was to be the owner";
    EXPECT_EQ(report.owner.start_time, owner_->start_time);
    EXPECT_EQ(report.owner.note, 0x123456789abcdef0u);
    // the program's, cut at 15 bytes by the kernel
    EXPECT_EQ(report.owner.command_name.view(), "report_process_");
    EXPECT_EQ(report.attempt, 1u);
    EXPECT_EQ(report.max_attempts, 3u);
    EXPECT_FALSE(report.has_former_heir);
    EXPECT_THAT(std::string(report.acquired_at.module.view()), EndsWith("/report_process_test"));
    EXPECT_THAT(std::string(report.acquired_at.where.view()),
                HasSubstr("outlive_test_acquires_the_victim_lock"));
    EXPECT_EQ(report.acquired_at.build_id_size, 20u);
    EXPECT_LT(report.acquired_at.offset, report.acquired_at.address)
        << "the program is position-independent";
    ASSERT_EQ(report.held_count, 2u);
    EXPECT_FALSE(report.held_cut);
    EXPECT_EQ(report.held[0], &all_.mutex(1));
    EXPECT_EQ(report.held[1], &all_.mutex(2));
    EXPECT_THAT(std::string(report.held_at[0].where.view()),
                HasSubstr("outlive_test_acquires_another_lock"));
    EXPECT_THAT(std::string(report.held_at[1].where.view()),
                HasSubstr("outlive_test_acquires_a_third_lock"));
  }

  accounts all_{3};
  shared_object<report_copy> report_;
  shared_object<self_portrait> owner_;
};

TEST_F(report_process_test, tells_all_that_is_known_to_a_locker) {
  leave_with_three();
  const auto repair = reporting();
  all_.mutex(0).lock();
  check_the_three(*report_);
  all_.mutex(0).unlock();
}

TEST_F(report_process_test, names_the_caller_of_a_guards_lock) {
  child owner("owner", [this](agent&) { outlive_test_acquires_by_a_guard(all_[0]); });
  owner.expect_exit(0);
  const auto repair = reporting();
  { auto x = all_[0].lock(); }
  EXPECT_THAT(std::string(report_->acquired_at.where.view()),
              HasSubstr("outlive_test_acquires_by_a_guard"));
}

TEST_F(report_process_test, tells_the_same_to_recover) {
  leave_with_three();
  report_copy first;
  const auto repair = on_owner_death(all_.mutex(0), [&](const owner_death& death) {
    first = death;
    return repaired;
  });
  recover(all_.seg());
  check_the_three(first);
}

TEST_F(report_process_test, tells_the_same_to_a_process_that_came_later) {
  leave_with_three();
  child heir("heir", [&](agent&) {
    const auto repair = reporting();
    all_.mutex(0).lock();
    all_.mutex(0).unlock();
  });
  heir.expect_exit(0);
  check_the_three(*report_);
}

TEST_F(report_process_test, names_the_thread_as_it_was_called_when_it_first_used_the_segment) {
  leave_with_three();
  const auto repair = reporting();
  all_.mutex(0).lock();
  EXPECT_EQ(report_->owner.thread_name.view(), "accountant");
  EXPECT_EQ(report_->owner.as_text.view(),
            "pid " + std::to_string(owner_->pid) + " tid " + std::to_string(owner_->tid) +
                " (report_process_/accountant) started " + std::to_string(owner_->start_time));
  all_.mutex(0).unlock();
}

TEST_F(report_process_test, of_a_main_thread_tells_one_name_and_one_id) {
  child owner("owner", [&](agent&) {
    all_.lock_and_tear(2);
    *owner_ = self_portrait::now();
    _exit(0);
  });
  owner.expect_exit(0);
  const auto repair = reporting();
  auto x = all_[2].lock();
  EXPECT_EQ(report_->owner.pid, owner.pid());
  EXPECT_EQ(report_->owner.tid, owner.pid());
  EXPECT_EQ(report_->owner.start_time, owner_->start_time);
  EXPECT_EQ(report_->owner.note, 0u);
  EXPECT_EQ(report_->mutex_name.view(), "account 2");
  EXPECT_EQ(report_->held_count, 0u);
  EXPECT_EQ(report_->owner.as_text.view(),
            "pid " + std::to_string(owner.pid()) + " tid " + std::to_string(owner.pid()) +
                " (report_process_) started " + std::to_string(owner_->start_time));
}

TEST_F(report_process_test, tells_the_mutex_that_the_dead_was_waiting_for) {
  all_.mutex(1).lock();
  child owner("owner", [&](agent& parent) {
    all_.lock_and_tear(0);
    parent.tell("inside");
    all_.mutex(1).lock();
  });
  owner.wait_for("inside");
  ASSERT_TRUE(within(default_timeout(), [&] { return all_.has_waited(owner.pid()); }))
      << all_.who_holds_what();
  owner.kill();
  owner.expect_killed();
  const auto repair = reporting();
  { auto x = all_[0].lock(); }
  ASSERT_EQ(report_->held_count, 1u);
  EXPECT_EQ(report_->held[0], &all_.mutex(1));
  all_.mutex(1).unlock();
}

TEST_F(report_process_test, does_not_tell_what_was_given_back) {
  child owner("owner", [&](agent&) {
    all_.mutex(1).lock();
    all_.lock_and_tear(0);
    all_.mutex(2).lock();
    all_.mutex(1).unlock();
    _exit(0);
  });
  owner.expect_exit(0);
  const auto repair = reporting();
  { auto x = all_[0].lock(); }
  ASSERT_EQ(report_->held_count, 1u);
  EXPECT_EQ(report_->held[0], &all_.mutex(2));
}

TEST(report_cut_process_test, more_than_64_others_are_cut_and_it_says_so) {
  segment_options options = small_segment();
  options.max_held = 80;
  for (const unsigned others : {64u, 65u}) {
    segment seg = segment::anonymous(options);
    std::vector<robust_mutex*> all;
    for (unsigned i = 0; i <= others; ++i) {
      all.push_back(&seg.find_or_construct<robust_mutex>("m" + std::to_string(i), "plain"));
    }
    child owner("owner", [&](agent&) {
      for (robust_mutex* each : all) each->lock();
      _exit(0);
    });
    owner.expect_exit(0);
    report_copy report;
    const auto repair = on_owner_death(seg, "plain", [&](const owner_death& death) {
      report = death;
      return repaired;
    });
    all[0]->lock();
    EXPECT_EQ(report.held_count, owner_death::max_reported);
    EXPECT_EQ(report.held_cut, others > owner_death::max_reported);
    all[0]->unlock();
    all.back()->lock();
    EXPECT_THAT(report.acquired_at.where.view(), HasSubstr("report_process_test"))
        << "of a mutex behind " << others << " others";
    all.back()->unlock();
  }
}

struct shelf_of_two {
  long before = 1;
  robust_mutex first{"shelf"};
  robust_mutex second{"shelf"};
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::shelf_of_two> = true;

namespace outlive::testing {
namespace {

TEST(report_name_process_test, a_mutex_inside_of_an_object_has_the_objects_name) {
  segment seg = segment::anonymous(small_segment());
  auto& object = seg.find_or_construct<shelf_of_two>("the shelf");
  child owner("owner", [&](agent&) {
    object.second.lock();
    _exit(0);
  });
  owner.expect_exit(0);
  report_copy report;
  const auto repair = on_owner_death(seg, "shelf", [&](const owner_death& death) {
    report = death;
    return repaired;
  });
  object.second.lock();
  EXPECT_EQ(report.mutex, &object.second);
  EXPECT_EQ(report.mutex_name.view(), "the shelf");
  object.second.unlock();
}

}  // namespace
}  // namespace outlive::testing
