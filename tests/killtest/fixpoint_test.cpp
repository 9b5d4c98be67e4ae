// Heirs that die one after the other come to no new state at some time, whatever kind of mutex the
// dead had, and whatever a repair acquires: what only counts deaths is no state.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include <string>

#include <outlive/robust_shared_mutex.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::IsEmpty;

struct counter {
  long value = 0;
};

template <class Mutex>
scenario counter_under(repair_result (*repair)(segment& seg)) {
  using guarded_counter = guarded<counter, Mutex>;
  scenario made;
  made.name = "counter";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_counter>("counter", "counter"));
    static_cast<void>(seg.find_or_construct<robust_mutex>("other", "other"));
    static_cast<void>(seg.find_or_construct<robust_shared_mutex>("shared", "other"));
  };
  made.repairs = [=](segment& seg) {
    return all_of(
        on_owner_death<counter, Mutex>(
            seg, "counter", [=, &seg](counter&, const owner_death&) { return repair(seg); }),
        on_owner_death(seg, "other", always_consistent));
  };
  made.victim = [](segment& seg) { seg.find<guarded_counter>("counter")->lock()->value = 1; };
  made.invariant = [](segment&) { return std::string(); };
  return made;
}

void expect_fixpoint(const scenario& what) {
  const report found = explore(what);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_THAT(found.cut, IsEmpty()) << found;
  EXPECT_GT(found.nested_points, 100U) << found;
}

TEST(fixpoint, of_a_mutex) {
  expect_fixpoint(counter_under<robust_mutex>([](segment&) { return repaired; }));
}

TEST(fixpoint, of_a_shared_mutex) {
  expect_fixpoint(counter_under<robust_shared_mutex>([](segment&) { return repaired; }));
}

TEST(fixpoint, of_a_repair_that_tries_another_mutex) {
  expect_fixpoint(counter_under<robust_mutex>([](segment& seg) {
    auto& other = *seg.find<robust_mutex>("other");
    if (other.try_lock()) other.unlock();
    return repaired;
  }));
}

TEST(fixpoint, of_a_repair_that_tries_a_shared_mutex) {
  expect_fixpoint(counter_under<robust_mutex>([](segment& seg) {
    auto& other = *seg.find<robust_shared_mutex>("shared");
    if (other.try_lock()) other.unlock();
    return repaired;
  }));
}

TEST(fixpoint, of_a_repair_that_reads_under_a_shared_mutex) {
  expect_fixpoint(counter_under<robust_mutex>([](segment& seg) {
    auto& other = *seg.find<robust_shared_mutex>("shared");
    if (other.try_lock_shared()) other.unlock_shared();
    return repaired;
  }));
}

}  // namespace
}  // namespace outlive::killtest::testing
