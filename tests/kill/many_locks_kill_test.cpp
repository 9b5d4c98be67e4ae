// The owner holds several locks, and had given some back out of order: each that it held is
// repaired once, no other one is.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "scenes/accounts.hpp"

namespace outlive::testing {
namespace {

class many_locks_kill_test : public ::testing::TestWithParam<unsigned> {
 protected:
  static segment_options roomy() {
    segment_options options = small_segment();
    options.max_held = 64;
    return options;
  }
  accounts all_{GetParam(), roomy()};
  repair_registration repair_ = all_.mended_here();

  std::vector<unsigned> shuffled(unsigned seed) const {
    std::vector<unsigned> order(all_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    return order;
  }
};

TEST_P(many_locks_kill_test, all_that_were_held_are_repaired_once_each) {
  const std::uint32_t records = all_.seg().threads_in_use();
  child victim("victim", [&](agent& parent) {
    for (const unsigned i : shuffled(1)) all_.lock_and_tear(i);
    parent.tell("inside");
    parent.pause_forever();
  });
  victim.wait_for("inside");
  victim.kill();
  victim.expect_killed();
  for (const unsigned i : shuffled(2)) {
    auto x = all_[i].try_lock_for(default_timeout());
    ASSERT_TRUE(x) << "account " << i << '\n' << all_.who_holds_what();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(x->whole());
    EXPECT_EQ(all_.repairs(i), 1u);
  }
  EXPECT_EQ(all_.repairs(), all_.size());
  EXPECT_EQ(all_.seg().threads_in_use(), records);
}

TEST_P(many_locks_kill_test, what_was_unlocked_out_of_order_is_not_repaired) {
  const std::uint32_t records = all_.seg().threads_in_use();
  const auto order = shuffled(3);
  const unsigned unlocked = all_.size() / 2;
  child victim("victim", [&](agent& parent) {
    for (const unsigned i : shuffled(4)) all_.lock_and_tear(i);
    for (unsigned k = 0; k < unlocked; ++k) {
      all_.value(order[k]).mend();
      all_.mutex(order[k]).unlock();
    }
    parent.tell("inside");
    parent.pause_forever();
  });
  victim.wait_for("inside");
  victim.kill();
  victim.expect_killed();
  for (unsigned k = 0; k < all_.size(); ++k) {
    auto x = all_[order[k]].try_lock_for(default_timeout());
    ASSERT_TRUE(x) << "account " << order[k] << '\n' << all_.who_holds_what();
    EXPECT_EQ(x.recovered(), k >= unlocked) << "account " << order[k];
    EXPECT_EQ(all_.repairs(order[k]), k >= unlocked ? 1u : 0u);
    EXPECT_TRUE(x->whole());
  }
  EXPECT_EQ(all_.seg().threads_in_use(), records);
}

TEST_P(many_locks_kill_test, recover_repairs_all_of_them) {
  const std::uint32_t records = all_.seg().threads_in_use();
  child victim("victim", [&](agent& parent) {
    for (const unsigned i : shuffled(5)) all_.lock_and_tear(i);
    parent.tell("inside");
    parent.pause_forever();
  });
  victim.wait_for("inside");
  victim.kill();
  victim.expect_killed();
  const auto lines = recover(all_.seg());
  ASSERT_EQ(lines.size(), all_.size());
  for (const auto& line : lines)
    EXPECT_EQ(line.outcome, recovery_outcome::repaired) << line.mutex_name;
  EXPECT_EQ(all_.seg().threads_in_use(), records);
  for (unsigned i = 0; i < all_.size(); ++i) {
    EXPECT_EQ(all_.repairs(i), 1u);
    EXPECT_TRUE(all_.value(i).whole());
    auto x = all_[i].try_lock();
    ASSERT_TRUE(x);
    EXPECT_FALSE(x.recovered());
  }
}

INSTANTIATE_TEST_SUITE_P(held, many_locks_kill_test, ::testing::Values(1u, 2u, 64u),
                         [](const auto& test) { return std::to_string(test.param); });

}  // namespace
}  // namespace outlive::testing
