// Freed blocks: they are used again, the shortest first that fits, and damage to their lists costs
// none of them.
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "format/layout.hpp"
#include "mapping/mapping.hpp"
#include "segment/segment_access.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct thing {
  long value;
};

struct other_thing {
  long value;
};

std::string short_name(std::size_t i) {
  return "thing " + std::to_string(i);
}

// Names whose blocks have 0, 1, 2, 3 lines more.
std::string name_of_lines(std::size_t lines, const char* text) {
  return lines == 0 ? std::string(text) : std::string(text) + std::string(lines * 64 - 10, 'x');
}

struct directory_freed : ::testing::Test {
  static segment_options room() {
    segment_options options = few_of_everything();
    options.size = 4'096;  // 32 blocks of two lines
    options.directory_capacity = 64;
    return options;
  }

  detail::block_header& block_of(const thing& object) {
    return *(reinterpret_cast<detail::block_header*>(const_cast<thing*>(&object)) - 1);
  }
  // Of the object's block, which begins a line before it.
  std::uint32_t line_of(const auto& object) {
    const auto& map = *detail::segment_access::mapping_of(seg);
    return static_cast<std::uint32_t>(
        (map.offset_of(&object) - map.layout().objects) / detail::cache_line - 1);
  }
  detail::directory_state& counts() {
    return static_cast<detail::segment_header*>(const_cast<void*>(seg.base()))->directory_counts;
  }

  // All of the segment's memory is in freed blocks of one kind but for what one more takes.
  std::vector<thing*> fill_and_free() {
    std::vector<thing*> made;
    for (std::size_t i = 0; i < 31; ++i)
      made.push_back(&seg.find_or_construct<thing>(short_name(i)));
    for (std::size_t i = 0; i < 31; ++i) EXPECT_TRUE(seg.destroy<thing>(short_name(i)));
    return made;
  }
  void expect_all_usable() {
    for (std::size_t i = 0; i < 31; ++i)
      ASSERT_NO_THROW(seg.find_or_construct<thing>(short_name(i))) << i;
    for (const segment_problem& each : segment_view::open(name).problems())
      ADD_FAILURE() << each.object << ": " << each.found;
  }

  test_name name;
  segment seg = segment::create(name, room());
};

TEST_F(directory_freed, all_blocks_are_used_again) {
  const auto made = fill_and_free();
  EXPECT_EQ(segment_view::open(name).problems().size(), 0U);
  expect_all_usable();
}

TEST_F(directory_freed, the_shortest_that_fits_is_taken) {
  std::vector<thing*> made;
  for (const std::size_t lines : {3U, 1U, 0U, 2U})
    made.push_back(&seg.find_or_construct<thing>(name_of_lines(lines, "a")));
  for (const std::size_t lines : {3U, 1U, 0U, 2U})
    EXPECT_TRUE(seg.destroy<thing>(name_of_lines(lines, "a")));
  EXPECT_EQ(segment_view::open(name).problems().size(), 0U);
  EXPECT_EQ(&seg.find_or_construct<thing>("b"), made[2]);
  EXPECT_EQ(&seg.find_or_construct<thing>("c"), made[1]);
  EXPECT_EQ(&seg.find_or_construct<thing>(name_of_lines(3, "d")), made[0]);
  EXPECT_EQ(&seg.find_or_construct<thing>("e"), made[3]);
}

TEST_F(directory_freed, lists_of_several_kinds_keep_all_blocks) {
  std::vector<thing*> made;
  const auto name_at = [](std::size_t i) {
    return name_of_lines(i % 4, ("n" + std::to_string(i)).c_str());
  };
  std::size_t blocks = 0;
  for (; blocks < 12; ++blocks) made.push_back(&seg.find_or_construct<thing>(name_at(blocks)));
  const std::uint64_t end = counts().end.load();
  for (int round = 0; round < 5; ++round) {
    for (std::size_t i = 0; i < blocks; ++i)
      EXPECT_TRUE(seg.destroy<thing>(name_at(i * 5 % blocks)));
    for (std::size_t i = 0; i < blocks; ++i) seg.find_or_construct<thing>(name_at(i * 7 % blocks));
  }
  EXPECT_EQ(counts().end.load(), end);
  EXPECT_EQ(segment_view::open(name).problems().size(), 0U);
}

TEST_F(directory_freed, a_damaged_link_costs_no_block) {
  for (const std::uint32_t link : {1U, 2U, 63U, ~0U, 0x7fffffffU}) {
    SCOPED_TRACE(link);
    for (const thing* each : fill_and_free()) block_of(*each).next_freed = link;
    expect_all_usable();
  }
}

TEST_F(directory_freed, a_damaged_link_between_kinds_costs_no_block) {
  for (const std::uint32_t link : {2U, ~0U, 0x7fffffffU}) {
    SCOPED_TRACE(link);
    for (const thing* each : fill_and_free()) block_of(*each).name_check = link;
    expect_all_usable();
  }
}

TEST_F(directory_freed, a_damaged_first_link_costs_no_block) {
  for (const std::uint32_t link : {2U, ~0U, 0x7fffffffU}) {
    SCOPED_TRACE(link);
    fill_and_free();
    for (std::uint32_t& list : counts().freed) list = link;
    expect_all_usable();
  }
}

// For no kind that is on the list: the whole list is looked through.
TEST_F(directory_freed, a_ring_of_kinds_ends) {
  for (thing* each : fill_and_free()) block_of(*each).name_check = line_of(*each) + 1;
  EXPECT_NO_THROW(seg.find_or_construct<short>("a"));  // of another list
  expect_error(errc::no_space, {}, [&] { seg.find_or_construct<thing>(name_of_lines(3, "a")); });
  EXPECT_EQ(segment_view::open(name).problems().size(), 0U);
}

TEST_F(directory_freed, a_link_to_a_block_of_another_type_is_not_followed) {
  std::vector<thing*> things;
  for (std::size_t i = 0; i < 3; ++i)
    things.push_back(&seg.find_or_construct<thing>(short_name(i)));
  auto& other = seg.find_or_construct<other_thing>("other");
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(seg.destroy<thing>(short_name(i)));
  EXPECT_TRUE(seg.destroy<other_thing>("other"));
  const std::uint32_t link = line_of(other) + 1;
  for (const thing* each : things) block_of(*each).next_freed = link;
  for (std::size_t i = 0; i < 3; ++i) {
    seg.find_or_construct<thing>(short_name(i));
    EXPECT_NO_THROW(EXPECT_NE(seg.find<thing>(short_name(i)), nullptr)) << i;
  }
  EXPECT_EQ(&seg.find_or_construct<other_thing>("other"), &other);
  EXPECT_EQ(segment_view::open(name).problems().size(), 0U);
}

TEST_F(directory_freed, a_list_that_begins_with_a_block_of_another_list_is_mended) {
  auto& first = seg.find_or_construct<thing>("first");
  auto& other = seg.find_or_construct<other_thing>("other");
  EXPECT_TRUE(seg.destroy<thing>("first"));
  EXPECT_TRUE(seg.destroy<other_thing>("other"));
  for (std::uint32_t& list : counts().freed) {
    if (list != 0) list = line_of(other) + 1;
  }
  EXPECT_EQ(&seg.find_or_construct<thing>("again"), &first);
  EXPECT_EQ(segment_view::open(name).problems().size(), 0U);
}

// Here it is who gives a block back that finds the damage.
TEST_F(directory_freed, a_damaged_list_that_a_destruction_finds_costs_no_block) {
  for (std::size_t i = 0; i < 31; ++i) seg.find_or_construct<thing>(short_name(i));
  for (std::size_t i = 0; i < 30; ++i) EXPECT_TRUE(seg.destroy<thing>(short_name(i)));
  for (std::uint32_t& list : counts().freed) list = ~0U;
  EXPECT_TRUE(seg.destroy<thing>(short_name(30)));
  expect_all_usable();
}

}  // namespace
}  // namespace outlive::testing
