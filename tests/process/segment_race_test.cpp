// Several processes at the same segment at the same time: made once, constructed once, never seen
// half.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

constexpr int processes = 8;

segment_options small() {
  segment_options options = few_of_everything();
  options.threads = options.participants = processes + 1;
  return options;
}

// Runs `body` in so many processes; all begin each round together.
class team {
 public:
  using body = std::function<void(int round)>;

  void run(int rounds, const body& each, const body& after_round) {
    std::vector<std::unique_ptr<child>> all;
    for (int i = 0; i < processes; ++i) {
      all.push_back(std::make_unique<child>("member " + std::to_string(i), [&](agent&) {
        for (int round = 1; round <= rounds; ++round) {
          if (!started_.wait_at_least(round)) throw timed_out("the start of a round");
          each(round);
          finished_.add();
        }
      }));
    }
    for (int round = 1; round <= rounds; ++round) {
      started_.store(round);
      ASSERT_TRUE(finished_.wait_at_least(round * processes)) << "round " << round;
      after_round(round);
    }
    for (auto& member : all) member->expect_exit();
  }

 private:
  shared_value<int> started_;
  shared_value<int> finished_;
};

struct counted {
  explicit counted(shared_counter& made) : value(4711) { made.add(); }
  std::uint64_t value;
};

TEST(segment_race, exactly_one_process_constructs_an_object) {
  const test_name name;
  segment seg = segment::create(name);
  shared_counter made;
  shared_counter wrong;
  team().run(
      200,
      [&](int round) {
        segment mine = segment::open(name);
        if (mine.find_or_construct<counted>("object " + std::to_string(round), made).value != 4711)
          wrong.add();
      },
      [&](int round) { EXPECT_EQ(made.load(), static_cast<std::uint64_t>(round)); });
  EXPECT_EQ(wrong.load(), 0U);
}

TEST(segment_race, all_find_the_object_at_the_same_place) {
  const test_name name;
  const segment seg = segment::create(name);
  team().run(
      50,
      [&](int round) {
        segment mine = segment::open(name);
        auto& count = mine.find_or_construct<guarded<std::uint64_t>>(
            "count " + std::to_string(round), "count", 0U);
        ++*count.lock();
      },
      [&](int round) {
        EXPECT_EQ(*seg.find<guarded<std::uint64_t>>("count " + std::to_string(round))->lock(),
                  static_cast<std::uint64_t>(processes));
      });
}

TEST(segment_race, open_or_create_makes_one_segment) {
  std::vector<std::unique_ptr<test_name>> names;
  for (int i = 0; i <= 50; ++i) names.push_back(std::make_unique<test_name>());
  shared_counter made;
  team().run(
      50,
      [&](int round) {
        segment mine = segment::open_or_create(*names[static_cast<std::size_t>(round)], small());
        mine.find_or_construct<counted>("object", made);
      },
      [&](int round) { EXPECT_EQ(made.load(), static_cast<std::uint64_t>(round)); });
}

TEST(segment_race, create_succeeds_once) {
  std::vector<std::unique_ptr<test_name>> names;
  for (int i = 0; i <= 50; ++i) names.push_back(std::make_unique<test_name>());
  shared_counter made;
  shared_counter refused;
  team().run(
      50,
      [&](int round) {
        try {
          (void)segment::create(*names[static_cast<std::size_t>(round)], small());
          made.add();
        } catch (const std::system_error& error) {
          if (error.code() != errc::already_exists) throw;
          refused.add();
        }
      },
      [&](int round) {
        EXPECT_EQ(made.load(), static_cast<std::uint64_t>(round));
        EXPECT_EQ(refused.load(), static_cast<std::uint64_t>(round * (processes - 1)));
      });
}

// A name that comes and goes: whoever opens it finds a whole segment or none.
TEST(segment_race, nobody_opens_half_a_segment) {
  const test_name name;
  shared_value<int> stop;
  child maker("maker", [&](agent& parent) {
    parent.tell("ready");
    while (stop.load() == 0) {
      (void)segment::create(name, small());
      // The name stays for a while: else it is there for a small part of the time.
      for (int i = 0; i < 8; ++i) (void)segment::open(name);
      segment::unlink(name);
    }
  });
  maker.wait_for("ready");
  int opened = 0;
  int missing = 0;
  const deadline end(4 * default_timeout());
  while ((opened < 300 || missing < 300) && !end.passed()) {
    try {
      const segment found = segment::open(name);
      found.for_each(
          [](const segment::object_info&) { ADD_FAILURE() << "an object that nobody made"; });
      ++opened;
    } catch (const std::system_error& error) {
      ASSERT_EQ(error.code(), errc::not_found) << error.what();
      ++missing;
    }
  }
  stop.store(1);
  maker.expect_exit();
  EXPECT_GE(opened, 300);
  EXPECT_GE(missing, 300);
}

}  // namespace
}  // namespace outlive::testing
