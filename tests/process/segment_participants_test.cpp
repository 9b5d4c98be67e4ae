// Processes as participants: as many as the segment has room for, a clear word for one more, and
// room again once one has ended.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

const std::string_view full[] = {"found all 2 participants in use",
                                 "expected a free one (segment_options::participants)"};

struct segment_participants : ::testing::Test {
  test_name name;
  segment seg = segment::create(name, few_of_everything());  // two participants, and this is one

  std::unique_ptr<child> attached(const std::string& who) {
    auto made = std::make_unique<child>(who, [this](agent& parent) {
      segment mine = segment::open(name);
      ++*mine.find_or_construct<guarded<int>>("count", "count", 0).lock();
      parent.tell("attached");
      parent.pause_forever();
    });
    made->wait_for("attached");
    return made;
  }
};

TEST_F(segment_participants, one_too_many_is_told_so_and_leaves_nothing) {
  const auto second = attached("second");
  child("third", [&](agent&) {
    expect_error(errc::too_many_participants, {name.quoted(), full[0], full[1]},
                 [&] { (void)segment::open(name); });
    expect_error(errc::too_many_participants, {name.quoted()},
                 [&] { (void)segment::open_or_create(name); });
  }).expect_exit();
  // Who is in stays in.
  EXPECT_EQ(*seg.find<guarded<int>>("count")->lock(), 1);
  EXPECT_NO_THROW((void)segment::open(name));
}

TEST_F(segment_participants, the_place_of_an_ended_process_is_taken_again) {
  for (int i = 1; i <= 10; ++i) {
    const auto each = attached("process " + std::to_string(i));
    EXPECT_EQ(*seg.find<guarded<int>>("count")->lock(), i);
    each->kill();
    each->expect_killed();
  }
}

TEST_F(segment_participants, the_place_of_a_zombie_is_taken_again) {
  child zombie("zombie", [&](agent&) { (void)segment::open(name); });
  ASSERT_TRUE(within(default_timeout(), [&] { return zombie.ended(); }));
  const auto next = attached("next");  // while nobody has reaped the first
  zombie.expect_exit();
}

TEST_F(segment_participants, a_forked_child_needs_a_place_at_its_first_lock) {
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  const auto second = attached("second");
  child("third", [&](agent&) {
    EXPECT_EQ(seg.find<guarded<int>>("count"), &count);  // looking takes none
    expect_error(errc::too_many_participants, {name.quoted(), full[0]},
                 [&] { (void)count.lock(); });
    std::error_code error;
    EXPECT_FALSE(count.lock(error));
    EXPECT_EQ(error, errc::too_many_participants);
    EXPECT_FALSE(count.try_lock(error));
    EXPECT_EQ(error, errc::too_many_participants);
    expect_error(errc::too_many_participants, {name.quoted()},
                 [&] { seg.find_or_construct<int>("number", 1); });
    expect_error(errc::too_many_participants, {name.quoted()},
                 [&] { seg.destroy<guarded<int>>("count"); });
  }).expect_exit();
  second->kill();
  second->expect_killed();
  child("fourth", [&](agent&) { ++*count.lock(); }).expect_exit();
  EXPECT_EQ(*count.lock(), 2);
}

TEST_F(segment_participants, closing_and_opening_again_takes_no_second_place) {
  const auto second = attached("second");
  for (int i = 0; i < 5; ++i) EXPECT_NO_THROW((void)segment::open(name));
}

}  // namespace
}  // namespace outlive::testing
