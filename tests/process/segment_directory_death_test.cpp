// Deaths inside of the directory: in a constructor, in a destructor, and anywhere else while it is
// held. The next one mends it.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "support/soak.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct slow {
  slow(agent* parent, shared_counter& begun, int v) {
    begun.add();
    value = v;
    if (parent != nullptr) {
      parent->tell("constructing");
      parent->pause_forever();
    }
  }
  int value;
};

struct slow_to_go {
  agent* parent = nullptr;
  ~slow_to_go() {
    if (parent == nullptr) return;
    parent->tell("destroying");
    parent->pause_forever();
  }
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::slow_to_go> = true;

namespace outlive::testing {
namespace {

segment_options for_three_processes() {
  segment_options options = few_of_everything();
  options.participants = options.threads = 3;
  return options;
}

struct segment_directory_death : ::testing::Test {
  test_name name;
  segment seg = segment::create(name, for_three_processes());
  shared_counter begun;

  void kill_at(child& victim, std::string_view token) {
    victim.wait_for(token);
    victim.kill();
    victim.expect_killed();
  }
};

TEST_F(segment_directory_death,
       a_constructor_that_is_killed_leaves_no_object_and_the_next_constructs) {
  seg.find_or_construct<int>("before", 1);
  child victim("victim", [&](agent& parent) {
    segment::open(name).find_or_construct<slow>("slow", &parent, begun, 1);
  });
  kill_at(victim, "constructing");
  EXPECT_EQ(seg.find<slow>("slow"), nullptr);
  seg.for_each([](const segment::object_info& each) { EXPECT_EQ(each.name, "before"); });
  EXPECT_EQ(seg.find_or_construct<slow>("slow", nullptr, begun, 2).value, 2);
  EXPECT_EQ(begun.load(), 2U);
  EXPECT_EQ(*seg.find<int>("before"), 1);
}

TEST_F(segment_directory_death, while_a_constructor_runs_others_wait_and_find_what_it_made) {
  child maker("maker", [&](agent& parent) {
    struct paused {
      paused(agent& with, int v) : value(v) {
        with.tell("constructing");
        with.await("go");
      }
      int value;
    };
    segment mine = segment::open(name);
    EXPECT_EQ(mine.find_or_construct<paused>("object", parent, 1).value, 1);
  });
  maker.wait_for("constructing");
  std::thread other([&] { EXPECT_EQ(seg.find_or_construct<int>("other", 2), 2); });
  maker.tell("go");
  maker.expect_exit();
  other.join();
}

TEST_F(segment_directory_death, one_who_waits_for_a_killed_constructor_goes_on) {
  child victim("victim", [&](agent& parent) {
    segment::open(name).find_or_construct<slow>("slow", &parent, begun, 1);
  });
  victim.wait_for("constructing");
  child waiter("waiter", [&](agent& parent) {
    segment mine = segment::open(name);
    parent.tell("waiting");
    EXPECT_EQ(mine.find_or_construct<slow>("slow", nullptr, begun, 2).value, 2);
  });
  waiter.wait_for("waiting");
  victim.kill();
  victim.expect_killed();
  waiter.expect_exit();
  EXPECT_EQ(seg.find<slow>("slow")->value, 2);
  EXPECT_EQ(begun.load(), 2U);
}

TEST_F(segment_directory_death, killed_constructors_use_up_neither_places_nor_memory) {
  for (int i = 0; i < 40; ++i) {  // there are 16 places, and room for 32 such objects
    child victim("victim", [&](agent& parent) {
      segment::open(name).find_or_construct<slow>("slow " + std::to_string(i), &parent, begun, 1);
    });
    kill_at(victim, "constructing");
  }
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(seg.find_or_construct<slow>("whole " + std::to_string(i), nullptr, begun, i).value,
              i);
}

TEST_F(segment_directory_death, a_destructor_that_is_killed_leaves_no_object) {
  seg.find_or_construct<int>("before", 1);
  auto& object = seg.find_or_construct<slow_to_go>("object");
  child victim("victim", [&](agent& parent) {
    object.parent = &parent;
    seg.destroy<slow_to_go>("object");
  });
  kill_at(victim, "destroying");
  EXPECT_EQ(seg.find<slow_to_go>("object"), nullptr);
  auto& again = seg.find_or_construct<slow_to_go>("object");
  EXPECT_EQ(&again, &object);  // its memory is used again
  again.parent = nullptr;
  EXPECT_TRUE(seg.destroy<slow_to_go>("object"));
  EXPECT_EQ(*seg.find<int>("before"), 1);
}

// Each worker makes, checks and destroys objects of its own names, and is killed anywhere. Objects
// that a worker has not destroyed stay, with their bytes; the directory never holds a thing that
// nobody made.
TEST(segment_directory_kill, random_kills_leave_a_directory_that_is_whole) {
  const test_name name;
  segment_options options = few_of_everything();
  options.directory_capacity = 64;
  options.size = 64 * 1024;
  options.threads = options.participants = 16;
  segment seg = segment::create(name, options);
  using bytes = std::array<unsigned char, 120>;
  for (int i = 0; i < 8; ++i) seg.find_or_construct<int>("stays " + std::to_string(i), i);

  soak_plan plan;
  plan.workers = 3;
  plan.duration = milliseconds(2500);
  plan.longest_pause = std::chrono::microseconds(3000);
  plan.work = [&](const soak_worker& self) {
    std::mt19937 random(static_cast<std::uint32_t>(self.seed));
    segment mine = segment::open(name);
    while (!self.stopping()) {
      const auto number = random() % 8;
      const std::string object = std::to_string(self.index) + "/" + std::to_string(number) +
                                 std::string(number % 2 * 30, 'x');
      bytes pattern;
      pattern.fill(static_cast<unsigned char>(16 * self.index + number));
      if (mine.find_or_construct<bytes>(object, pattern) != pattern)
        self.parent.fail(object + " has other bytes");
      const bytes* const found = mine.find<bytes>(object);
      if (found == nullptr || *found != pattern) self.parent.fail(object + " is lost");
      if (random() % 2 == 0 && !mine.destroy<bytes>(object))
        self.parent.fail(object + " was not there to be destroyed");
      const auto stays = random() % 8;
      const int* const other = mine.find<int>("stays " + std::to_string(stays));
      if (other == nullptr || *other != static_cast<int>(stays))
        self.parent.fail("what stays is lost");
    }
  };
  const soak_result result = soak(plan);
  SCOPED_TRACE(result.describe());
  EXPECT_GT(result.kills, 20U);

  // A new one, too, and then a look at all of it.
  seg.find_or_construct<int>("after", 1);
  std::map<std::string, int> seen;
  seg.for_each([&](const segment::object_info& each) {
    const std::string object(each.name);
    ++seen[object];
    if (each.size != sizeof(bytes)) return;
    const auto expected = static_cast<unsigned char>(16 * (object[0] - '0') + (object[2] - '0'));
    for (const unsigned char each_byte : *static_cast<const bytes*>(each.address))
      ASSERT_EQ(each_byte, expected) << object;
    EXPECT_EQ(seg.find<bytes>(object), each.address);
  });
  for (const auto& [object, times] : seen) EXPECT_EQ(times, 1) << object;
  for (int i = 0; i < 8; ++i) {
    const int* const found = seg.find<int>("stays " + std::to_string(i));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(*found, i);
  }
  EXPECT_LE(seen.size(), 8U + 1U + 3U * 8U);
  // No place was lost either: it can be filled to the last, and no further.
  std::size_t more = 0;
  while (seen.size() + more < 64)
    seg.find_or_construct<char>("more " + std::to_string(more++), 'c');
  EXPECT_THROW(seg.find_or_construct<char>("one more", 'c'), std::system_error);
}

}  // namespace
}  // namespace outlive::testing
