// Registrations of repairs: which one runs, how long it lasts, and in which processes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "scenes/accounts.hpp"
#include "scenes/cancellation.hpp"
#include "scenes/thrown.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

class registration_process_test : public ::testing::Test {
 protected:
  /// A repair that says its name when it runs.
  repair_callback called(const char* name) {
    return [this, name](const owner_death&) {
      ran_ += std::string(name) + ' ';
      return repaired;
    };
  }
  std::string ran_by_lock(unsigned index = 0) {
    ran_.clear();
    std::error_code error;
    all_.mutex(index).lock(error);
    if (!error) all_.mutex(index).unlock();
    return ran_ + (error ? error.message() : "got it");
  }

  accounts all_{2};
  std::string ran_;
};

TEST_F(registration_process_test, of_the_mutex_goes_before_that_of_its_class) {
  const auto by_class = on_owner_death(all_.seg(), "account", called("class"));
  auto by_mutex = on_owner_death(all_.mutex(0), called("mutex"));
  leave_holding(all_, 0);
  leave_holding(all_, 1);
  EXPECT_EQ(ran_by_lock(0), "mutex got it");
  EXPECT_EQ(ran_by_lock(1), "class got it");
  by_mutex.reset();
  EXPECT_FALSE(by_mutex);
  all_.value(0).mend();
  leave_holding(all_, 0);
  EXPECT_EQ(ran_by_lock(0), "class got it");
}

TEST_F(registration_process_test, of_another_class_is_not_asked) {
  const auto other = on_owner_death(all_.seg(), "no account", called("other"));
  leave_holding(all_);
  EXPECT_EQ(ran_by_lock(), make_error_code(errc::owner_died_unrepaired).message());
}

TEST_F(registration_process_test, of_another_segment_is_not_asked) {
  accounts other;
  const auto elsewhere = on_owner_death(other.seg(), "account", called("elsewhere"));
  leave_holding(all_);
  EXPECT_EQ(ran_by_lock(), make_error_code(errc::owner_died_unrepaired).message());
}

TEST_F(registration_process_test,
       a_second_one_for_the_same_key_is_refused_until_the_first_is_gone) {
  auto first = on_owner_death(all_.seg(), "account", called("first"));
  EXPECT_EQ(thrown::by([&] {
              auto again = on_owner_death(all_.seg(), "account", called("second"));
            }).code,
            errc::already_registered);
  EXPECT_EQ(thrown::by([&] { auto again = all_.mended_here(); }).code, errc::already_registered);
  auto of_mutex = on_owner_death(all_.mutex(0), called("mutex"));
  EXPECT_EQ(thrown::by([&] { auto again = on_owner_death(all_.mutex(0), called("again")); }).code,
            errc::already_registered);
  first.reset();
  const auto second = on_owner_death(all_.seg(), "account", called("second"));
  leave_holding(all_, 1);
  EXPECT_EQ(ran_by_lock(1), "second got it");
}

TEST_F(registration_process_test, moves_with_its_object) {
  std::optional<repair_registration> outer;
  {
    auto inner = on_owner_death(all_.seg(), "account", called("moved"));
    outer.emplace(std::move(inner));
    EXPECT_FALSE(inner);
    EXPECT_TRUE(*outer);
  }
  leave_holding(all_);
  EXPECT_EQ(ran_by_lock(), "moved got it");
  *outer = on_owner_death(all_.mutex(1), called("of mutex 1"));  // the former one is taken out
  all_.value().mend();
  leave_holding(all_);
  EXPECT_EQ(ran_by_lock(), make_error_code(errc::owner_died_unrepaired).message());
  outer.reset();
  const auto fresh = on_owner_death(all_.mutex(1), called("fresh"));
  leave_holding(all_, 1);
  EXPECT_EQ(ran_by_lock(1), "fresh got it");
}

TEST_F(registration_process_test, always_consistent_lets_the_next_one_in_as_it_is) {
  leave_holding(all_, 0);
  leave_holding(all_, 1);
  {
    const auto typed = on_owner_death<account>(all_.seg(), "account", always_consistent);
    auto x = all_[0].lock();
    EXPECT_TRUE(x.recovered());
    EXPECT_FALSE(x->whole()) << "nobody was to touch it";
  }
  const auto plain = on_owner_death(all_.mutex(1), always_consistent);
  auto y = all_[1].lock();
  EXPECT_TRUE(y.recovered());
  EXPECT_FALSE(y->whole());
}

TEST_F(registration_process_test, a_forked_child_has_the_same_ones_and_its_changes_are_its_own) {
  auto mine = std::make_unique<repair_registration>(
      on_owner_death(all_.seg(), "account", called("inherited")));
  leave_holding(all_, 0);
  leave_holding(all_, 1);
  child process("process", [&](agent&) {
    EXPECT_EQ(ran_by_lock(0), "inherited got it");
    EXPECT_EQ(thrown::by([&] { auto again = all_.mended_here(); }).code, errc::already_registered);
    mine->reset();
    std::error_code error;
    all_.mutex(1).lock(error);
    EXPECT_EQ(error, errc::owner_died_unrepaired);
  });
  process.expect_exit(0);
  EXPECT_EQ(ran_by_lock(1), "inherited got it") << "the child has taken out its parent's";
}

TEST_F(registration_process_test, registered_in_one_process_is_none_of_anothers) {
  leave_holding(all_);
  child process("process", [&](agent& parent) {
    const auto repair = all_.mended_here();
    parent.tell("registered");
    parent.await("lock");
    EXPECT_TRUE(all_[0].lock().recovered());
  });
  process.wait_for("registered");
  EXPECT_EQ(ran_by_lock(), make_error_code(errc::owner_died_unrepaired).message());
  process.tell("lock");
  process.expect_exit(0);
}

TEST_F(registration_process_test, its_end_waits_for_the_running_repair) {
  leave_holding(all_);
  shared_value<std::uint32_t> inside, let_go, taken_out;
  auto repair = on_owner_death(all_.seg(), "account", [&](const owner_death&) {
    inside.store(1);
    EXPECT_TRUE(let_go.wait_equal(1));
    EXPECT_EQ(taken_out.load(), 0u) << "the registration's end did not wait";
    return repaired;
  });
  std::thread heir([&] { EXPECT_TRUE(all_[0].lock().recovered()); });
  ASSERT_TRUE(inside.wait_equal(1));
  shared_value<pid_t> remover_tid;
  std::thread remover([&] {
    remover_tid.store(gettid());
    repair.reset();
    taken_out.store(1);
  });
  // It sleeps: it waits for the repair, which nobody has let go yet.
  ASSERT_TRUE(remover_tid.wait([](pid_t tid) { return tid != 0; }));
  EXPECT_TRUE(within(default_timeout(), [&] { return task_state(remover_tid.load()) == 'S'; }));
  EXPECT_EQ(taken_out.load(), 0u);
  let_go.store(1);
  heir.join();
  remover.join();
  EXPECT_EQ(taken_out.load(), 1u);
}

TEST_F(registration_process_test, its_end_is_no_cancellation_point) {
  leave_holding(all_);
  shared_value<std::uint32_t> inside, let_go, taken_out;
  auto repair = on_owner_death(all_.seg(), "account", [&](const owner_death&) {
    inside.store(1);
    EXPECT_TRUE(let_go.wait_equal(1));
    return repaired;
  });
  std::thread heir([&] { EXPECT_TRUE(all_[0].lock().recovered()); });
  ASSERT_TRUE(inside.wait_equal(1));
  shared_value<pid_t> remover_tid;
  std::thread remover([&] {
    remover_tid.store(gettid());
    repair.reset();
    taken_out.store(1);
    end_if_cancelled();
    ADD_FAILURE() << "the cancellation was lost";
  });
  ASSERT_TRUE(remover_tid.wait([](pid_t tid) { return tid != 0; }));
  EXPECT_TRUE(within(default_timeout(), [&] { return task_state(remover_tid.load()) == 'S'; }));
  pthread_cancel(remover.native_handle());
  let_go.store(1);
  heir.join();
  remover.join();
  EXPECT_EQ(taken_out.load(), 1u);
}

TEST_F(registration_process_test, its_end_inside_of_the_repair_itself_does_not_wait) {
  leave_holding(all_);
  repair_registration repair;
  repair = on_owner_death(all_.seg(), "account", [&](const owner_death&) {
    repair.reset();
    ran_ += "to the end ";
    return repaired;
  });
  EXPECT_EQ(ran_by_lock(), "to the end got it");
  all_.value().mend();
  leave_holding(all_);
  EXPECT_EQ(ran_by_lock(), make_error_code(errc::owner_died_unrepaired).message());
}

TEST_F(registration_process_test, its_end_in_a_forked_child_does_not_wait_for_the_parents_repair) {
  leave_holding(all_);
  shared_value<std::uint32_t> inside, let_go;
  repair_registration repair = on_owner_death(all_.seg(), "account", [&](const owner_death&) {
    inside.store(1);
    EXPECT_TRUE(let_go.wait_equal(1));
    return repaired;
  });
  std::thread heir([&] { EXPECT_TRUE(all_[0].lock().recovered()); });
  ASSERT_TRUE(inside.wait_equal(1));
  child process("process", [&](agent& parent) {
    repair.reset();
    parent.tell("taken out");
  });
  process.wait_for("taken out");
  process.expect_exit(0);
  let_go.store(1);
  heir.join();
}

TEST_F(registration_process_test, keeps_the_segment_mapped) {
  auto own = std::make_unique<segment>(segment::anonymous(small_segment()));
  auto& mutex = own->find_or_construct<robust_mutex>("m", "plain");
  auto repair = on_owner_death(mutex, called("kept"));
  own.reset();
  child owner("owner", [&](agent&) {
    mutex.lock();
    _exit(0);
  });
  owner.expect_exit(0);
  mutex.lock();
  EXPECT_TRUE(mutex.recovered());
  mutex.unlock();
  EXPECT_EQ(ran_, "kept ");
}

TEST_F(registration_process_test, two_repairs_of_a_class_run_at_the_same_time) {
  leave_holding(all_, 0);
  leave_holding(all_, 1);
  shared_counter inside;
  const auto repair = on_owner_death(all_.seg(), "account", [&](const owner_death&) {
    inside.add();
    EXPECT_TRUE(inside.wait_at_least(2)) << "one waits for the other";
    return repaired;
  });
  std::thread first([&] { EXPECT_TRUE(all_[0].lock().recovered()); });
  std::thread second([&] { EXPECT_TRUE(all_[1].lock().recovered()); });
  first.join();
  second.join();
}

TEST_F(registration_process_test, a_mutex_in_ordinary_memory_gets_none) {
  alignas(64) char memory[sizeof(robust_mutex)] = {};
  const auto& no_mutex = *reinterpret_cast<const robust_mutex*>(memory);
  EXPECT_EQ(thrown::by([&] { auto none = on_owner_death(no_mutex, called("none")); }).code,
            errc::not_in_segment);
  EXPECT_EQ(thrown::by([&] { auto none = on_owner_death(all_.seg(), "", called("none")); }).code,
            errc::invalid_name);
  struct other {};
  EXPECT_EQ(thrown::by([&] {
              auto none = on_owner_death<other>(all_.seg(), "account", always_consistent);
            }).code,
            errc::type_mismatch);
}

}  // namespace
}  // namespace outlive::testing
