// outlive::lock() acquires several guarded values at once.
#include <outlive/lock.hpp>

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include <outlive/robust_shared_mutex.hpp>
#include <outlive/segment_view.hpp>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using amount = guarded<long>;
using price = guarded<long, robust_shared_mutex>;

struct lock_several : ::testing::Test {
  segment seg = segment::anonymous();
  amount& left = seg.find_or_construct<amount>("left", "amount");
  amount& right = seg.find_or_construct<amount>("right", "amount");
  price& cost = seg.find_or_construct<price>("cost", "price");

  std::vector<held_lock> in_hand() const {
    const auto threads = segment_view(seg).threads();
    return threads.empty() ? std::vector<held_lock>{} : threads[0].in_hand;
  }
  bool nothing_is_held() const {
    for (const viewed_lock& each : segment_view(seg).locks())
      if (each.holder) return false;
    return true;
  }
};

[[gnu::noinline]] void take_all_three_here(lock_several& test, std::vector<held_lock>& held) {
  auto [x, y, z] = outlive::lock(test.left, test.cost, test.right);
  ++*x, ++*y, ++*z;
  held = test.in_hand();
}

TEST_F(lock_several, the_place_is_the_function_that_called_it) {
  std::vector<held_lock> held;
  take_all_three_here(*this, held);
  ASSERT_EQ(held.size(), 3U);
  for (held_lock& each : held) {
    name_function(each.acquired_at);
    EXPECT_NE(each.acquired_at.function.find("take_all_three_here"), std::string::npos)
        << each.acquired_at.function;
  }
  EXPECT_TRUE(nothing_is_held());
  EXPECT_EQ(*left.lock() + *cost.lock() + *right.lock(), 3);
}

TEST_F(lock_several, guards_come_in_the_order_of_the_arguments) {
  *left.lock() = 1;
  *right.lock() = 2;
  {
    auto [second, first] = outlive::lock(right, left);
    EXPECT_EQ(*second, 2);
    EXPECT_EQ(*first, 1);
    second.unlock();
    EXPECT_FALSE(second);
    elsewhere([&] { EXPECT_TRUE(right.try_lock()); });
    elsewhere([&] { EXPECT_FALSE(left.try_lock()); });
  }
  EXPECT_TRUE(nothing_is_held());
  EXPECT_TRUE(std::get<0>(outlive::lock(left)));
}

TEST_F(lock_several, threads_that_name_them_in_another_order_do_not_wait_for_each_other) {
  constexpr long rounds = 2000;
  std::vector<std::thread> all;
  for (int order = 0; order < 3; ++order) {
    all.emplace_back([&, order] {
      for (long i = 0; i < rounds; ++i) {
        if (order == 0) {
          auto [x, y, z] = outlive::lock(left, right, cost);
          ++*x, ++*y, ++*z;
        } else if (order == 1) {
          auto [z, y, x] = outlive::lock(cost, right, left);
          ++*x, ++*y, ++*z;
        } else {
          auto [y, x, z] = outlive::lock(right, left, cost);
          ++*x, ++*y, ++*z;
        }
      }
    });
  }
  for (std::thread& each : all) each.join();
  EXPECT_EQ(*left.lock(), 3 * rounds);
  EXPECT_EQ(*right.lock(), 3 * rounds);
  EXPECT_EQ(*cost.lock(), 3 * rounds);
}

TEST_F(lock_several, one_that_is_busy_is_waited_for_with_nothing_in_hand) {
  shared_value<int> step;
  std::thread other([&] {
    auto hold = right.lock();
    step.store(1);
    EXPECT_TRUE(step.wait_equal(2));
  });
  EXPECT_TRUE(step.wait_equal(1));
  std::thread both([&] {
    auto [x, y] = outlive::lock(left, right);
    ++*x, ++*y;
  });
  // It comes to wait for `right`, and has let go of `left` then. (While it tries `right` with
  // `left` in hand, it seems to wait, too.)
  EXPECT_TRUE(within(default_timeout(), [&] {
    for (const viewed_thread& each : segment_view(seg).threads()) {
      if (each.waiting_for == segment_view(seg).locks()[1].offset) return bool{left.try_lock()};
    }
    return false;
  }));
  step.store(2);
  other.join();
  both.join();
  EXPECT_EQ(*left.lock() + *right.lock(), 2);
}

TEST_F(lock_several, named_twice_or_held_already_is_a_deadlock_and_leaves_none) {
  expect_error(errc::deadlock, {"the same object twice"},
               [&] { (void)outlive::lock(left, cost, left); });
  EXPECT_TRUE(nothing_is_held());
  const auto mine = left.lock();
  expect_error(errc::deadlock, {"\"left\""}, [&] { (void)outlive::lock(right, left); });
  elsewhere([&] { EXPECT_TRUE(right.try_lock()); });
}

TEST_F(lock_several, one_that_cannot_be_repaired_leaves_none) {
  elsewhere([&] { right.mutex().lock(); });  // its owner is dead
  expect_error(errc::owner_died_unrepaired, {"\"right\""},
               [&] { (void)outlive::lock(left, right); });
  EXPECT_TRUE(nothing_is_held());
  const auto repair = on_owner_death<long>(seg, "amount", always_consistent);
  auto [x, y] = outlive::lock(left, right);
  EXPECT_FALSE(x.recovered());
  EXPECT_TRUE(y.recovered());
}

}  // namespace
}  // namespace outlive::testing
