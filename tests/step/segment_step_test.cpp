// Killed in the creation of a named segment: there is a whole segment under the name or none, and
// nothing else in /dev/shm.
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

std::set<std::string> files_of_ours(const std::string& part) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().find(part) != std::string::npos)
      names.insert(entry.path().filename().string());
  }
  return names;
}

}  // namespace

TEST(segment_step, killed_around_every_system_call_of_the_creation_of_a_segment) {
  OUTLIVE_NEEDS_TRACING();
  const std::string name = "step_test." + std::to_string(getpid());
  std::uint64_t nothing = 0;
  std::size_t there = 0, absent = 0, points = 0;
  sweep_plan plan;
  plan.name = "segment::create";
  plan.victim = [&](agent&) {
    section_begin();
    const segment made = segment::create(name, world::small());
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    points += point.died;
    const auto left = files_of_ours(name);
    EXPECT_TRUE(point.died || !left.empty());
    ++(left.empty() ? absent : there);
    if (!left.empty()) {
      EXPECT_EQ(left, (std::set<std::string>{"outlive." + name}));
      segment found = segment::open(name);
      EXPECT_EQ(found.options().threads, world::small().threads);
      auto& lock = found.find_or_construct<guarded_twins>("twins", "twins");
      EXPECT_TRUE(lock.try_lock());
      EXPECT_EQ(found.threads_in_use(), 1U);
    }
    segment again = segment::open_or_create(name, world::small());
    EXPECT_EQ(again.find<guarded_twins>("twins") != nullptr, !left.empty());
    EXPECT_TRUE(segment::unlink(name));
  };
  // The file has no name until it is complete, so its bytes are nobody's yet: new states come from
  // system calls alone.
  plan.watched = {std::as_bytes(std::span(&nothing, 1))};
  plan.stride = 199;
  const auto result = sweep(plan);
  std::printf("| %s | %zu | %zu | - | - | - | - | - | - | - | - |\n", plan.name.c_str(),
              result.length, points);
  std::printf("%s: %s, segment there %zu, absent %zu\n", plan.name.c_str(),
              result.describe().c_str(), there, absent);
  EXPECT_GT(there, 0U);
  EXPECT_GT(absent, 0U);
}

TEST(segment_step, killed_around_every_system_call_of_the_replacement_of_a_segment) {
  OUTLIVE_NEEDS_TRACING();
  const std::string name = "step_test." + std::to_string(getpid());
  std::uint64_t nothing = 0;
  std::size_t olds = 0, news = 0, points = 0;
  std::optional<segment> old;
  sweep_plan plan;
  plan.name = "segment::replace";
  plan.setup = [&] {
    old = segment::replace(name, world::small());
    old->find_or_construct<int>("release", 1);
  };
  plan.victim = [&](agent&) {
    // From where it is whole and has no name: what a kill before that leaves is as in the creation.
    const segment made = segment::replace(name, world::small(), [](segment& fresh) {
      fresh.find_or_construct<int>("release", 2);
      section_begin();
    });
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    points += point.died;
    const segment found = segment::open(name);  // takes away what a death left
    EXPECT_EQ(files_of_ours(name), (std::set<std::string>{"outlive." + name}));
    const int* const release = found.find<int>("release");
    ASSERT_NE(release, nullptr);
    EXPECT_EQ(*release == 1, old->has_name());
    EXPECT_EQ(*release == 1, found.base() == old->base());
    ++(*release == 1 ? olds : news);
    EXPECT_TRUE(point.died || *release == 2);
  };
  plan.watched = {std::as_bytes(std::span(&nothing, 1))};
  plan.stride = 199;
  const auto result = sweep(plan);
  segment::unlink(name);
  std::printf("| %s | %zu | %zu | - | - | - | - | - | - | - | - |\n", plan.name.c_str(),
              result.length, points);
  std::printf("%s: %s, the name led to the old one %zu times, to the new one %zu times\n",
              plan.name.c_str(), result.describe().c_str(), olds, news);
  EXPECT_GT(olds, 0U);
  EXPECT_GT(news, 0U);
}
