// directory_rest: what was read of the directory between two looks is one state, or is not said to
// be.
#include "inspect/directory_rest.hpp"

#include <gtest/gtest.h>

#include <outlive/segment.hpp>

#include "segment/segment_access.hpp"

namespace outlive::testing {
namespace {

using detail::directory_rest;

class directory_rest_of_a_segment : public ::testing::Test {
 protected:
  directory_rest look() { return directory_rest(*detail::segment_access::mapping_of(seg)); }
  segment seg = segment::anonymous();
};

TEST_F(directory_rest_of_a_segment, lasts_while_objects_are_only_looked_up) {
  seg.find_or_construct<int>("one", 1);
  const directory_rest before = look();
  EXPECT_NE(seg.find<int>("one"), nullptr);
  EXPECT_TRUE(before.lasts_until(look()));
}

TEST_F(directory_rest_of_a_segment, ends_when_an_object_came_and_went) {
  const directory_rest before = look();
  seg.find_or_construct<int>("one", 1);
  seg.destroy<int>("one");
  EXPECT_FALSE(before.lasts_until(look()));
}

/// An object whose constructor runs a function, inside the directory.
struct built_inside {
  template <class Function>
  explicit built_inside(Function&& inside) {
    inside();
  }
};

TEST_F(directory_rest_of_a_segment, is_not_while_an_object_is_made) {
  const directory_rest before = look();
  seg.find_or_construct<built_inside>("one", [&] {
    const directory_rest inside = look();
    EXPECT_FALSE(before.lasts_until(inside));
    EXPECT_FALSE(inside.lasts_until(look())) << "its maker has counted itself, and changes more";
  });
  const directory_rest after = look();
  EXPECT_TRUE(after.lasts_until(look()));
}

}  // namespace
}  // namespace outlive::testing
