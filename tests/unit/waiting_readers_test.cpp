// Readers that wait for a writer go before its next lock(), and a count that a dead reader left
// keeps nobody out.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "format/object_layout.hpp"
#include "support/bounded.hpp"
#include "support/leaks.hpp"
#include "unit/robust_shared_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;

class waiting_readers_test : public robust_shared_mutex_fixture {
 protected:
  detail::shared_u32& word() {
    return reinterpret_cast<detail::shared_lock_bytes&>(mutex_).waiting_readers;
  }
  /// How many writes of one thread, which locks again and again, pass the readers that wait when it
  /// begins: the most that one of them saw.
  long most_writes_that_pass(std::uint32_t readers) {
    std::atomic<long> writes{0};
    std::atomic<long> most{0};
    std::atomic<std::uint32_t> done{0};
    std::vector<std::thread> threads;
    mutex_.lock();
    for (std::uint32_t i = 0; i < readers; ++i) {
      std::atomic<pid_t> tid{0};
      threads.emplace_back([&] {
        tid = static_cast<pid_t>(syscall(SYS_gettid));
        mutex_.lock_shared();
        const long seen = writes;
        mutex_.unlock_shared();
        long so_far = most;
        while (so_far < seen && !most.compare_exchange_weak(so_far, seen)) {
        }
        ++done;
      });
      EXPECT_TRUE(
          within(default_timeout(), [&] { return word() == i + 1 && task_state(tid) == 'S'; }))
          << "reader " << i << " of " << readers << " does not wait, the word is " << word();
    }
    mutex_.unlock();
    while (done < readers) {
      mutex_.lock();
      ++writes;
      mutex_.unlock();
    }
    for (auto& each : threads) each.join();
    EXPECT_EQ(word(), 0u);
    return most;
  }
};

TEST_P(waiting_readers_test, a_writer_that_locks_again_and_again_lets_a_reader_go_first) {
  for (int i = 0; i < 10; ++i) EXPECT_LE(most_writes_that_pass(1), 3);
}

// Each of its locks lets one go at least.
TEST_P(waiting_readers_test, and_several_readers) {
  for (int i = 0; i < 5; ++i) EXPECT_LE(most_writes_that_pass(4), 4 + 3);
}

TEST_P(waiting_readers_test, a_reader_that_gives_up_is_counted_no_more) {
  mutex_.lock();
  std::thread([&] {
    EXPECT_FALSE(mutex_.try_lock_shared_for(1ms));
    EXPECT_FALSE(mutex_.try_lock_shared());
  }).join();
  EXPECT_EQ(word(), 0u);
  mutex_.unlock();
}

TEST_P(waiting_readers_test, a_count_that_nobody_stands_for_is_set_to_0) {
  for (const std::uint32_t left : {1u, 3u, detail::writer_asleep, detail::writer_asleep + 1, ~0u}) {
    word() = left;
    mutex_.lock();
    EXPECT_EQ(word(), 0u) << left;
    mutex_.unlock();
  }
}

// Whatever the word says: a try_lock() waits for nobody, and a timed one no longer than it may.
TEST_P(waiting_readers_test, it_keeps_no_try_out) {
  word() = 1;
  ASSERT_TRUE(mutex_.try_lock());
  EXPECT_EQ(word(), 1u);
  mutex_.unlock();
  ASSERT_TRUE(mutex_.try_lock_for(0ms));
  mutex_.unlock();
  ASSERT_TRUE(mutex_.try_lock_for(default_timeout()));
  mutex_.unlock();
  EXPECT_EQ(word(), 0u);
}

TEST_P(waiting_readers_test, readers_come_and_go_whatever_it_says) {
  word() = ~0u;
  mutex_.lock_shared();
  mutex_.unlock_shared();
  mutex_.lock();
  std::thread reader([&] {
    mutex_.lock_shared();
    mutex_.unlock_shared();
  });
  mutex_.unlock();
  reader.join();
}

INSTANTIATE_TEST_SUITE_P(form, waiting_readers_test,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         name_of_form);

}  // namespace
}  // namespace outlive::testing
