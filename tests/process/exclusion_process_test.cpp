// Processes and threads beside each other: one inside at a time, and what a lock says to those who
// may not have it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

using std::chrono::steady_clock;

class exclusion_process_test : public ::testing::Test {
 protected:
  /// A process that is inside of account 0 until it is told to leave.
  std::unique_ptr<child> holder() {
    auto made = std::make_unique<child>("holder", [this](agent& parent) {
      all_.mutex().lock();
      parent.tell("inside");
      parent.await("leave");
      all_.mutex().unlock();
    });
    made->wait_for("inside");
    return made;
  }
  static void leave(child& holder) {
    holder.tell("leave");
    holder.expect_exit(0);
  }

  accounts all_{2};
};

/// Four processes of two threads each, each with another way to acquire.
TEST_F(exclusion_process_test, no_addition_is_lost) {
  constexpr long rounds = 5'000;
  const std::vector<std::function<void(robust_mutex&)>> ways{
      [](robust_mutex& m) { m.lock(); },
      [](robust_mutex& m) {
        while (!m.try_lock()) std::this_thread::yield();
      },
      [](robust_mutex& m) { ASSERT_TRUE(m.try_lock_for(std::chrono::minutes(1))); },
      [](robust_mutex& m) {
        ASSERT_TRUE(m.try_lock_until(std::chrono::system_clock::now() + std::chrono::minutes(1)));
      },
  };
  std::vector<std::unique_ptr<child>> processes;
  for (const auto& acquire : ways) {
    processes.push_back(std::make_unique<child>("process", [&](agent&) {
      const auto add = [&] {
        for (long i = 0; i < rounds; ++i) {
          acquire(all_.mutex());
          all_.value().a += 1;
          all_.value().b -= 1;
          all_.mutex().unlock();
        }
      };
      std::thread second(add);
      add();
      second.join();
    }));
  }
  for (const auto& each : processes)
    EXPECT_TRUE(each->wait(std::chrono::minutes(1)).exited_with(0));
  EXPECT_EQ(all_.value().a, 500 + rounds * 8);
  EXPECT_EQ(all_.value().b, 500 - rounds * 8);
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

TEST_F(exclusion_process_test, two_locks_in_opposite_order_by_scoped_lock_do_not_deadlock) {
  std::vector<std::unique_ptr<child>> processes;
  for (unsigned p = 0; p < 4; ++p) {
    processes.push_back(std::make_unique<child>("process", [&, p](agent&) {
      for (int i = 0; i < 1'000; ++i) {
        const std::scoped_lock hold(all_.mutex(p % 2), all_.mutex(1 - p % 2));
        all_.value(0).a += 1;
        all_.value(1).a -= 1;
      }
    }));
  }
  for (const auto& each : processes)
    EXPECT_TRUE(each->wait(std::chrono::minutes(1)).exited_with(0)) << all_.who_holds_what();
  EXPECT_EQ(all_.value(0).a, 500 + 4'000);
  EXPECT_EQ(all_.value(1).a, 500 - 4'000);
}

TEST_F(exclusion_process_test, try_lock_of_a_held_mutex_is_false_and_no_error) {
  const auto other = holder();
  EXPECT_FALSE(all_.mutex().try_lock());
  std::error_code error = make_error_code(errc::damaged);
  EXPECT_FALSE(all_.mutex().try_lock(error));
  EXPECT_FALSE(error) << error.message();
  EXPECT_FALSE(all_[0].try_lock());
  leave(*other);
  EXPECT_TRUE(all_.mutex().try_lock());
  all_.mutex().unlock();
}

TEST_F(exclusion_process_test, a_timed_lock_waits_its_time_and_not_much_more) {
  const auto other = holder();
  for (const auto wait : {milliseconds(0), milliseconds(30), milliseconds(400)}) {
    // below and above a slice
    const auto began = steady_clock::now();
    std::error_code error;
    EXPECT_FALSE(all_.mutex().try_lock_for(wait, error));
    EXPECT_FALSE(error) << "a time-out is no error: " << error.message();
    EXPECT_GE(steady_clock::now() - began, wait);
    EXPECT_LT(steady_clock::now() - began, wait + default_timeout());
  }
  leave(*other);
}

TEST_F(exclusion_process_test, deadlines_far_off_in_either_direction) {
  const auto other = holder();
  std::error_code error;
  const std::vector<std::function<bool()>> past{
      [&] { return all_.mutex().try_lock_until(steady_clock::time_point::min(), error); },
      [&] { return all_.mutex().try_lock_until(steady_clock::time_point(), error); },
      [&] {
        return all_.mutex().try_lock_until(steady_clock::now() - std::chrono::hours(1'000'000),
                                           error);
      },
      [&] { return all_.mutex().try_lock_until(std::chrono::system_clock::time_point(), error); },
      [&] { return all_.mutex().try_lock_for(std::chrono::nanoseconds::min(), error); },
      [&] { return all_.mutex().try_lock_for(std::chrono::hours(-1'000'000), error); },
  };
  for (std::size_t i = 0; i < past.size(); ++i) {
    EXPECT_FALSE(past[i]()) << i;
    EXPECT_FALSE(error) << i << ": " << error.message();
  }
  // For ever, in each of these: until the holder leaves.
  shared_counter waiting, entered;
  const std::vector<std::function<bool(robust_mutex&)>> future{
      [](robust_mutex& m) { return m.try_lock_until(steady_clock::time_point::max()); },
      [](robust_mutex& m) {
        return m.try_lock_until(std::chrono::system_clock::time_point::max());
      },
      [](robust_mutex& m) { return m.try_lock_for(std::chrono::hours::max()); },
      [](robust_mutex& m) { return m.try_lock_for(std::chrono::nanoseconds::max()); },
  };
  std::vector<std::unique_ptr<child>> waiters;
  for (const auto& acquire : future) {
    waiters.push_back(std::make_unique<child>("waiter", [&](agent&) {
      waiting.add();
      EXPECT_TRUE(acquire(all_.mutex()));
      all_.mutex().unlock();
      entered.add();
    }));
  }
  ASSERT_TRUE(waiting.wait_equal(future.size()));
  for (const auto& each : waiters) {
    EXPECT_TRUE(within(default_timeout(), [&] { return task_state(each->pid()) == 'S'; }));
  }
  EXPECT_EQ(entered.load(), 0u);
  leave(*other);
  for (const auto& each : waiters) each->expect_exit(0);
  EXPECT_EQ(entered.load(), future.size());
}

TEST_F(exclusion_process_test, unlock_by_others_is_refused_and_changes_nothing) {
  all_.mutex().lock();
  const auto refused = [&] {
    std::error_code error;
    all_.mutex().unlock(error);
    EXPECT_EQ(error, errc::not_owner);
    const thrown failure = thrown::by([&] { all_.mutex().unlock(); });
    EXPECT_EQ(failure.code, errc::not_owner);
    EXPECT_NE(failure.messages.find("account 0"), std::string::npos) << failure.messages;
    EXPECT_FALSE(all_.mutex().try_lock());
  };
  std::thread(refused).join();
  child process("process", [&](agent&) {
    refused();
    all_.mutex(1).lock();  // with a record, too
    refused();
    all_.mutex(1).unlock();
  });
  process.expect_exit(0);
  std::error_code error;
  all_.mutex().unlock(error);
  EXPECT_FALSE(error);
  all_.mutex().unlock(error);
  EXPECT_EQ(error, errc::not_owner) << "twice";
  expect_usable(all_);
}

TEST_F(exclusion_process_test, a_second_lock_by_the_holder_is_an_error_and_the_first_stays) {
  for (const unsigned before : {0u, 1u}) {  // as the newest of its locks, and below another
    SCOPED_TRACE(before);
    all_.mutex(0).lock();
    if (before != 0) all_.mutex(1).lock();
    std::error_code error;
    all_.mutex(0).lock(error);
    EXPECT_EQ(error, errc::deadlock);
    EXPECT_EQ(thrown::by([&] { all_.mutex(0).lock(); }).code, errc::deadlock);
    EXPECT_FALSE(all_.mutex(0).try_lock_for(milliseconds(1), error));
    EXPECT_EQ(error, errc::deadlock);
    EXPECT_FALSE(all_.mutex(0).try_lock(error));
    EXPECT_FALSE(error) << "somebody has it, and it is known who: " << error.message();
    child other("other", [&](agent&) { EXPECT_FALSE(all_.mutex(0).try_lock()); });
    other.expect_exit(0);
    if (before != 0) all_.mutex(1).unlock();
    all_.mutex(0).unlock();
    expect_usable(all_);
  }
}

}  // namespace
}  // namespace outlive::testing
