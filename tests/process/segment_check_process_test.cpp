// segment_view::problems() while others are at work, and after they were killed in the midst of it:
// neither is a problem.
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/robust_shared_mutex.hpp>
#include <outlive/segment_view.hpp>

#include "support/child.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

std::string problems_of(const segment_view& view) {
  std::string all;
  for (const auto& each : view.problems()) all += to_string(each) + '\n';
  return all;
}

/// Acquires and releases a mutex and a shared mutex, makes and removes objects, until it is killed.
void work(segment& in, agent& parent, const std::string& own) {
  auto& shared = in.find_or_construct<guarded<long>>("shared", "number");
  auto& price = in.find_or_construct<robust_shared_mutex>("price", "price");
  for (long i = 0;; ++i) {
    std::error_code ignored;
    if (auto hold = shared.lock(ignored); !ignored) ++*hold;
    price.lock_shared();
    price.unlock_shared();
    in.find_or_construct<guarded<long>>(own + std::to_string(i % 3), "number");
    in.destroy<guarded<long>>(own + std::to_string(i % 3));
    if (i == 10) parent.tell("works");
  }
}

TEST(segment_check_process, neither_work_nor_death_is_a_problem) {
  const test_name name;
  segment seg = segment::create(name);
  const segment_view view = segment_view::open(name);
  for (int round = 0; round < 5; ++round) {
    child first("first", [&](agent& parent) { work(seg, parent, "first"); });
    child second("second", [&](agent& parent) { work(seg, parent, "second"); });
    first.wait_for("works");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(problems_of(view), "");
    first.kill();
    second.kill();
    first.expect_killed();
    second.expect_killed();
    EXPECT_EQ(problems_of(view), "");
  }
}

/// 17 marks of one mutex: 16 of them spill.
TEST(segment_check_process, a_reader_is_no_problem_neither_alive_nor_dead) {
  const test_name name;
  segment seg = segment::create(name);
  auto& price = seg.find_or_construct<robust_shared_mutex>("price", "price");
  const segment_view view = segment_view::open(name);
  child reader("reader", [&](agent& parent) {
    for (int i = 0; i < 17; ++i) price.lock_shared();
    parent.tell("reads");
    parent.await("never");
  });
  reader.wait_for("reads");
  EXPECT_EQ(problems_of(view), "");
  reader.kill();
  reader.expect_killed();
  EXPECT_EQ(problems_of(view), "");
}

}  // namespace
}  // namespace outlive::testing
