// segment_view::problems() while others are at work, and after they were killed in the midst of it:
// neither is a problem.
#include <string>

#include <outlive/guarded.hpp>
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

/// Takes and gives back mutexes, and makes and removes objects, until it is killed.
void work(segment& in, agent& parent, const std::string& own) {
  auto& shared = in.find_or_construct<guarded<long>>("shared", "number");
  for (long i = 0;; ++i) {
    std::error_code ignored;
    if (auto hold = shared.lock(ignored); !ignored) ++*hold;
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

}  // namespace
}  // namespace outlive::testing
