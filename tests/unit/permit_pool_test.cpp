// Permits among the threads of one process.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "support/bounded.hpp"

namespace outlive {
namespace {

using namespace std::chrono_literals;
using pool_of_eight = permit_pool<8>;

template <class Function>
void expect_error(errc code, Function function, const char* what) {
  try {
    function();
    ADD_FAILURE() << what << ": no error";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
  }
}

class permit_pool_test : public ::testing::Test {
 protected:
  segment seg_ = segment::anonymous();
  pool_of_eight& pool_ = seg_.find_or_construct<pool_of_eight>("pool", 3u);
};

TEST_F(permit_pool_test, as_many_as_there_are_and_no_more) {
  EXPECT_EQ(pool_.size(), 3u);
  EXPECT_EQ(pool_.count(), 3u);
  permit one = pool_.acquire();
  permit two = pool_.acquire();
  {
    const permit three = pool_.try_acquire();
    EXPECT_TRUE(three);
    EXPECT_EQ(pool_.count(), 0u);
    EXPECT_FALSE(pool_.try_acquire());
    EXPECT_FALSE(pool_.try_acquire_for(1ms));
    EXPECT_FALSE(pool_.try_acquire_for(-1h));
    EXPECT_FALSE(pool_.try_acquire_until(std::chrono::system_clock::now()));
    EXPECT_FALSE(pool_.try_acquire_until(std::chrono::system_clock::time_point::min()));
  }
  EXPECT_EQ(pool_.count(), 1u);
  EXPECT_TRUE(pool_.try_acquire_for(1h));
}

TEST_F(permit_pool_test, a_permit_moves_and_is_given_back_once) {
  permit one = pool_.acquire();
  permit other = std::move(one);
  EXPECT_FALSE(one);
  EXPECT_TRUE(other);
  EXPECT_EQ(pool_.count(), 2u);
  other = permit();
  EXPECT_EQ(pool_.count(), 3u);
  one = pool_.acquire();
  one.release();
  EXPECT_EQ(pool_.count(), 3u);
  expect_error(
      errc::not_owner, [&] { one.release(); }, "a second release");
}

TEST_F(permit_pool_test, a_permit_of_another_thread_is_not_given_back) {
  permit mine = pool_.acquire();
  std::thread([&] {
    static_cast<void>(pool_.acquire());  // so that it has a record
    expect_error(
        errc::not_owner, [&] { mine.release(); }, "release by another thread");
  }).join();
  EXPECT_EQ(pool_.count(), 2u);
  mine.release();  // its holder still can
  EXPECT_EQ(pool_.count(), 3u);
}

TEST_F(permit_pool_test, a_permit_of_a_thread_that_has_ended_is_free) {
  std::optional<permit> kept[3];
  std::thread([&] {
    for (auto& each : kept) each.emplace(pool_.acquire());
    EXPECT_FALSE(pool_.try_acquire());
  }).join();
  EXPECT_EQ(pool_.count(), 3u);
  permit all[] = {pool_.acquire(), pool_.acquire(), pool_.acquire()};
  EXPECT_FALSE(pool_.try_acquire());
  for (auto& each : kept) each.reset();  // void: gives nothing back that is another's by now
  EXPECT_EQ(pool_.count(), 0u);
}

TEST_F(permit_pool_test, waiters_get_what_is_given_back) {
  permit all[] = {pool_.acquire(), pool_.acquire(), pool_.acquire()};
  std::atomic<int> got{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 6; ++i) {
    waiters.emplace_back([&] {
      const permit mine = pool_.acquire();
      ++got;
    });
  }
  for (auto& each : all) each.release();
  for (auto& each : waiters) each.join();
  EXPECT_EQ(got, 6);
  EXPECT_EQ(pool_.count(), 3u);
}

TEST_F(permit_pool_test, never_more_holders_than_permits) {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const permit mine = pool_.acquire();
        const int now = ++inside;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        --inside;
      }
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_LE(most, 3);
  EXPECT_EQ(pool_.count(), 3u);
}

TEST_F(permit_pool_test, a_record_with_a_permit_is_not_given_back) {
  std::optional<segment> own = segment::anonymous();
  auto& pool = own->find_or_construct<pool_of_eight>("pool", 1u);
  permit one = pool.acquire();
  own.reset();  // the last handle: the permit keeps the mapping
  one.release();
}

TEST_F(permit_pool_test, refusals) {
  alignas(64) char memory[sizeof(pool_of_eight)];
  expect_error(
      errc::not_in_segment, [&] { new (memory) pool_of_eight(1); }, "ordinary memory");
  EXPECT_THROW(seg_.find_or_construct<pool_of_eight>("none", 0u), std::system_error);
  EXPECT_THROW(seg_.find_or_construct<pool_of_eight>("nine", 9u), std::system_error);
  EXPECT_EQ(seg_.find<pool_of_eight>("nine"), nullptr);
  std::memset(static_cast<void*>(&pool_), 0, 64);
  expect_error(
      errc::damaged, [&] { static_cast<void>(pool_.acquire()); }, "zeroed memory");
  expect_error(
      errc::damaged, [&] { static_cast<void>(pool_.count()); }, "count of zeroed memory");
}

TEST_F(permit_pool_test, words_that_name_nobody_are_free) {
  auto* const words = reinterpret_cast<std::uint64_t*>(reinterpret_cast<char*>(&pool_) + 64);
  words[0] = ~std::uint64_t{0};
  words[1] = 5;                                   // record 0
  words[2] = std::uint64_t{1} << 48 | 0x7777777;  // a life that record 1 has not had
  EXPECT_EQ(pool_.count(), 3u);
  permit all[] = {pool_.acquire(), pool_.acquire(), pool_.acquire()};
  EXPECT_FALSE(pool_.try_acquire());
}

TEST_F(permit_pool_test, inside_a_repair_only_without_waiting) {
  auto& mutex = seg_.find_or_construct<robust_mutex>("mutex", "class");
  bool ran = false;
  const auto repair = on_owner_death(mutex, [&](const owner_death&) {
    ran = true;
    expect_error(
        errc::in_repair, [&] { static_cast<void>(pool_.acquire()); }, "acquire() in a repair");
    EXPECT_TRUE(pool_.try_acquire());
    return repaired;
  });
  std::thread([&] { mutex.lock(); }).join();
  const std::scoped_lock hold(mutex);
  EXPECT_TRUE(ran);
  EXPECT_EQ(pool_.count(), 3u);
}

TEST_F(permit_pool_test, several_at_once_or_none) {
  auto all = pool_.acquire_many(3);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(pool_.count(), 0u);
  EXPECT_TRUE(pool_.try_acquire_many(1).empty());
  all.pop_back();
  EXPECT_TRUE(pool_.try_acquire_many(2).empty());
  EXPECT_TRUE(pool_.try_acquire_many_for(2, 1ms).empty());
  EXPECT_EQ(pool_.count(), 1u) << "none of them is kept";
  EXPECT_EQ(pool_.try_acquire_many(1).size(), 1u);
  all.clear();
  EXPECT_EQ(pool_.try_acquire_many_until(3, std::chrono::system_clock::now()).size(), 3u);
  EXPECT_EQ(pool_.count(), 3u);
  for (const std::uint32_t count : {0u, 4u, 9u, ~0u})
    EXPECT_THROW(static_cast<void>(pool_.acquire_many(count)), std::system_error) << count;
}

// Each would have half of what it wants, and wait for ever.
TEST_F(permit_pool_test, threads_that_want_several_do_not_wait_for_each_other) {
  std::atomic<unsigned> inside = 0;
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      for (int turn = 0; turn < 500; ++turn) {
        const std::uint32_t count = number == 0 ? 1 : number % 2 + 2;
        const auto some = pool_.acquire_many(count);
        EXPECT_EQ(some.size(), count);
        const unsigned now = inside.fetch_add(count) + count;
        EXPECT_LE(now, 3u);
        if (turn % 8 == 0) std::this_thread::yield();
        inside.fetch_sub(count);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(pool_.count(), 3u);
}

TEST_F(permit_pool_test, who_collects_keeps_what_it_has_while_it_waits) {
  auto mine = pool_.acquire_many(2);
  std::thread collector([&] { EXPECT_EQ(pool_.acquire_many(3).size(), 3u); });
  EXPECT_TRUE(testing::within(testing::default_timeout(), [&] { return pool_.count() == 0; }))
      << "it has the third";
  EXPECT_TRUE(pool_.try_acquire_many(1).empty()) << "another thread collects";
  mine.pop_back();
  EXPECT_TRUE(testing::within(testing::default_timeout(), [&] { return pool_.count() == 0; }))
      << "and now the second";
  mine.clear();
  collector.join();
  EXPECT_EQ(pool_.count(), 3u);
}

}  // namespace
}  // namespace outlive
