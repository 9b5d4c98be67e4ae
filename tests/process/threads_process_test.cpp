// Threads that come, go and are cancelled: their records are given back, and nothing of theirs is
// taken for a death.
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/cancellation.hpp"
#include "support/leaks.hpp"
#include "sys/endings.hpp"
#include "sys/thread_status.hpp"

namespace outlive::testing {
namespace {

class threads_process_test : public ::testing::Test {
 protected:
  accounts all_{2};
  repair_registration repair_ = all_.mended_here();
};

TEST_F(threads_process_test, many_more_than_there_are_records_one_after_the_other) {
  const unsigned records = all_.seg().options().threads;
  for (unsigned i = 0; i < 5 * records; ++i) {
    std::thread([&] {
      auto x = all_[0].lock();
      EXPECT_FALSE(x.recovered());
    }).join();
    ASSERT_EQ(all_.seg().threads_in_use(), 1u) << "after thread " << i << '\n'
                                               << all_.who_holds_what();
  }
  EXPECT_EQ(all_.repairs(), 0u);
}

TEST_F(threads_process_test, many_at_the_same_time_in_several_processes) {
  std::vector<std::unique_ptr<child>> processes;
  for (int p = 0; p < 4; ++p) {
    processes.push_back(std::make_unique<child>("process", [&](agent&) {
      for (int round = 0; round < 10; ++round) {
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
          threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
              auto x = all_[0].lock();
              x->a += 1;
              x->b -= 1;
            }
          });
        }
        for (auto& each : threads) each.join();
      }
    }));
  }
  for (const auto& each : processes) each->expect_exit(0);
  EXPECT_EQ(all_.value().a, 500 + 4 * 10 * 4 * 50);
  EXPECT_TRUE(all_.value().whole());
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

/// Locks in its thread's end, after the library's own destructors may have run.
struct late_locker {
  const accounts* all = nullptr;
  ~late_locker() {
    if (all == nullptr) return;
    std::error_code error;
    all->mutex().lock(error);
    EXPECT_FALSE(error) << error.message();
    all->mutex().unlock(error);
    EXPECT_FALSE(error) << error.message();
  }
};
thread_local late_locker late;

TEST_F(threads_process_test, a_thread_can_still_lock_in_its_last_destructors) {
  for (const bool before : {true, false}) {
    // first used before the library's destructor is registered, or after
    std::thread([&] {
      if (before) late.all = &all_;
      all_.mutex().lock();
      all_.mutex().unlock();
      if (!before) late.all = &all_;
    }).join();
    expect_usable(all_);
    EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  }
  // A pthread key's destructor that comes round again and again.
  static const accounts* where = nullptr;
  where = &all_;
  static pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key,
                               [](void* rounds) {
                                 where->mutex().lock();
                                 where->mutex().unlock();
                                 const auto left = reinterpret_cast<std::uintptr_t>(rounds) - 1;
                                 if (left != 0)
                                   pthread_setspecific(key, reinterpret_cast<void*>(left));
                               }),
            0);
  std::thread([] { pthread_setspecific(key, reinterpret_cast<void*>(3)); }).join();
  pthread_key_delete(key);
  expect_usable(all_);
  recover(all_.seg());
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  EXPECT_EQ(all_.repairs(), 0u);
}

void* cancelled_before_its_first_lock(void* argument) {
  const auto& all = *static_cast<const accounts*>(argument);
  pthread_cancel(pthread_self());
  all.mutex().lock();
  all.mutex().unlock();
  end_if_cancelled();
  ADD_FAILURE() << "not cancelled";
  return nullptr;
}

TEST_F(threads_process_test, a_cancellation_does_not_end_lock) {
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, nullptr, cancelled_before_its_first_lock, &all_), 0);
  void* result = nullptr;
  ASSERT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  expect_usable(all_);
  EXPECT_EQ(all_.repairs(), 0u);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

struct waiter_in {
  const accounts* all;
  shared_value<pid_t> tid{};
  shared_value<std::uint32_t> entered{};
};

void* cancelled_while_it_waits(void* argument) {
  auto& in = *static_cast<waiter_in*>(argument);
  in.tid.store(gettid());
  in.all->mutex().lock();
  in.entered.store(1);
  in.all->mutex().unlock();
  end_if_cancelled();
  ADD_FAILURE() << "not cancelled";
  return nullptr;
}

TEST_F(threads_process_test,
       a_cancellation_does_not_end_a_waiting_lock_which_looks_for_dead_owners) {
  all_.mutex().lock();
  waiter_in in{&all_};
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, nullptr, cancelled_while_it_waits, &in), 0);
  ASSERT_TRUE(in.tid.wait([](pid_t tid) { return tid != 0; }));
  ASSERT_TRUE(within(default_timeout(), [&] { return task_state(in.tid.load()) == 'S'; }));
  ASSERT_EQ(pthread_cancel(thread), 0);
  // Long enough for it to judge the owner, twice.
  EXPECT_FALSE(in.entered.wait_equal(1, milliseconds(600)));
  all_.mutex().unlock();
  void* result = nullptr;
  ASSERT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  EXPECT_EQ(in.entered.load(), 1u);
  expect_usable(all_);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
}

void* stops_once_cancelled(void* argument) {
  pthread_cancel(pthread_self());
  static_cast<std::stop_source*>(argument)->request_stop();
  end_if_cancelled();
  ADD_FAILURE() << "not cancelled";
  return nullptr;
}

// The stop wakes run() by a write(), which is a cancellation point, out of a callback that cannot
// be unwound.
TEST_F(threads_process_test, a_cancellation_does_not_end_a_request_to_stop_a_supervisor) {
  supervisor watch(all_.seg());
  std::stop_source stop;
  shared_counter begun;
  watch.on_death([&](const participant_death&) { begun.add(); });
  std::thread runner([&] { watch.run(stop.get_token()); });
  child("owner", [&](agent&) { all_.lock_and_tear(0), _exit(0); }).expect_exit(0);
  EXPECT_TRUE(begun.wait_at_least(1));
  pthread_t stopper;
  ASSERT_EQ(pthread_create(&stopper, nullptr, stops_once_cancelled, &stop), 0);
  void* result = nullptr;
  ASSERT_EQ(pthread_join(stopper, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  runner.join();
}

void* does_once_cancelled(void* argument) {
  pthread_cancel(pthread_self());
  (*static_cast<void (**)()>(argument))();
  end_if_cancelled();
  ADD_FAILURE() << "not cancelled";
  return nullptr;
}

// Each ends in noexcept code, the library's or libstdc++'s, out of which no thread can be unwound.
TEST_F(threads_process_test, a_cancellation_does_not_end_what_a_thread_cannot_be_unwound_out_of) {
  using action = void (*)();
  const action looks = [] { EXPECT_NE(detail::read_thread_status(gettid()).state, '?'); };
  const action sleeps = [] { detail::sleep_ms(1); };
  const action writes = [] { detail::write_to_stderr(""); };
  const action draws = [] { static_cast<void>(detail::random_seed()); };
  for (action each : {looks, sleeps, writes, draws}) {
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, nullptr, does_once_cancelled, &each), 0);
    void* result = nullptr;
    ASSERT_EQ(pthread_join(thread, &result), 0);
    EXPECT_EQ(result, PTHREAD_CANCELED);
  }
}

TEST_F(threads_process_test, the_records_of_a_process_that_ends_by_itself_are_free) {
  child process("process", [&](agent&) {
    std::vector<std::thread> threads;
    shared_counter here;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        auto x = all_[0].lock();
        x.unlock();
        here.add();
        for (;;) pause();
      });
    }
    EXPECT_TRUE(here.wait_equal(8));
    EXPECT_EQ(all_.seg().threads_in_use(), 9u);
    _exit(0);  // with all of them alive
  });
  process.expect_exit(0);
  EXPECT_EQ(all_.seg().threads_in_use(), 1u) << all_.who_holds_what();
  EXPECT_EQ(all_.repairs(), 0u);
  expect_usable(all_);
}

}  // namespace
}  // namespace outlive::testing
