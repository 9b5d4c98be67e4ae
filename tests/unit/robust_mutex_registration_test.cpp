// Registrations of repairs: which of them an owner's death calls, and how they begin, move and end.
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>
#include <utility>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct robust_mutex_registration : ::testing::Test {
  test_name name;
  segment seg = segment::create(name);
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  int runs = 0;

  repair_callback counting(repair_result result = repaired) {
    return [this, result](const owner_death&) {
      ++runs;
      return result;
    };
  }
};

TEST_F(robust_mutex_registration, a_mutexs_own_repair_goes_before_that_of_its_class) {
  auto& other = seg.find_or_construct<robust_mutex>("other", "class");
  int own = 0;
  const auto by_class = on_owner_death(seg, "class", counting());
  auto by_mutex = on_owner_death(mutex, [&](const owner_death& death) {
    ++own;
    EXPECT_EQ(&death.mutex(), &mutex);
    EXPECT_EQ(death.mutex_name(), "mutex");
    EXPECT_EQ(death.lock_class(), "class");
    return repaired;
  });
  die_holding(mutex);
  die_holding(other);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(lock_code(other), std::error_code());
  EXPECT_EQ(own, 1);
  EXPECT_EQ(runs, 1);
  by_mutex.reset();
  die_holding(mutex);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(runs, 2);
}

TEST_F(robust_mutex_registration, repairs_of_other_classes_and_segments_do_not_run) {
  segment twin = segment::anonymous();
  auto& twins = twin.find_or_construct<robust_mutex>("mutex", "class");
  int wrong = 0;
  const auto other_class = on_owner_death(seg, "other class", [&](const owner_death&) {
    ++wrong;
    return repaired;
  });
  const auto other_segment = on_owner_death(twin, "class", [&](const owner_death&) {
    ++wrong;
    return repaired;
  });
  const auto right = on_owner_death(seg, "class", counting());
  die_holding(mutex);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(wrong, 0);
  die_holding(twins);
  EXPECT_EQ(lock_code(twins), std::error_code());
  EXPECT_EQ(wrong, 1);
}

TEST_F(robust_mutex_registration, a_second_registration_is_refused_and_the_first_stays) {
  const auto first = on_owner_death(seg, "class", counting());
  expect_error(
      errc::already_registered,
      {name.quoted(), "lock class \"class\"", "found a repair of this process", "expected none"},
      [&] { (void)on_owner_death(seg, "class", counting(failed)); });
  const segment again = segment::open(name);
  EXPECT_THROW((void)on_owner_death(again, "class", counting(failed)), std::system_error);
  const auto own = on_owner_death(mutex, counting());
  expect_error(errc::already_registered, {name.quoted(), "mutex at offset "},
               [&] { (void)on_owner_death(mutex, counting(failed)); });
  die_holding(mutex);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(runs, 1);
}

TEST_F(robust_mutex_registration, registrations_move_and_end) {
  repair_registration kept;
  EXPECT_FALSE(kept);
  {
    auto inner = on_owner_death(seg, "class", counting());
    EXPECT_TRUE(inner);
    kept = std::move(inner);
    EXPECT_FALSE(inner);  // NOLINT(bugprone-use-after-move): what it says after a move
  }
  die_holding(mutex);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(runs, 1);
  repair_registration other = std::move(kept);
  EXPECT_FALSE(kept);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(other);
  // Overwritten by another, the first ends.
  other = on_owner_death(seg, "other class", counting());
  die_holding(mutex);
  EXPECT_EQ(lock_code(mutex), errc::owner_died_unrepaired);
  other.reset();
  EXPECT_FALSE(other);
  other = on_owner_death(seg, "class", counting());
  EXPECT_EQ(lock_code(mutex), std::error_code());
}

TEST_F(robust_mutex_registration, the_end_of_a_registration_waits_for_its_running_repair) {
  shared_value<int> step;
  auto kept =
      std::make_unique<repair_registration>(on_owner_death(seg, "class", [&](const owner_death&) {
        step.store(1);
        step.wait_equal(2);
        runs = 1;
        return repaired;
      }));
  die_holding(mutex);
  std::thread heir([&] { EXPECT_EQ(lock_code(mutex), std::error_code()); });
  ASSERT_TRUE(step.wait_equal(1));
  shared_value<int> ended;
  std::thread ender([&] {
    kept.reset();
    EXPECT_EQ(runs, 1);
    ended.store(1);
  });
  EXPECT_FALSE(ended.wait_equal(1, milliseconds(30)));
  step.store(2);
  EXPECT_TRUE(ended.wait_equal(1));
  heir.join();
  ender.join();
}

TEST_F(robust_mutex_registration, a_repair_may_end_its_own_registration) {
  repair_registration kept;
  kept = on_owner_death(seg, "class", [&](const owner_death&) {
    ++runs;
    kept.reset();
    return repaired;
  });
  die_holding(mutex);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(runs, 1);
  EXPECT_FALSE(kept);
}

TEST_F(robust_mutex_registration, memory_without_a_mutex_has_no_repair) {
  alignas(64) char bytes[64] = {};
  expect_error(errc::not_in_segment,
               {"on_owner_death", "ordinary memory", "expected one in a segment"},
               [&] { (void)on_owner_death(reinterpret_cast<robust_mutex&>(bytes), counting()); });
  auto& zeros = seg.find_or_construct<std::array<char, 64>>("zeros");
  zeros.fill(0);
  expect_error(errc::damaged, {name.quoted(), "found no mutex", "expected one"},
               [&] { (void)on_owner_death(reinterpret_cast<robust_mutex&>(zeros), counting()); });
}

}  // namespace
}  // namespace outlive::testing
