// Copies of shared bytes: structs by words, names by bytes, texts by both. All that was written
// comes through, and nothing beside it changes.
#include "format/shared_copy.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace outlive::testing {
namespace {

struct alignas(8) fields {
  std::uint32_t first;
  float second;
  char text[8];
  double third;
};

[[gnu::noinline]] void change_and_store(fields& shared, fields& mine) {
  mine = {1, 2.5F, "text", 3.5};
  detail::store_shared(shared, mine);
  mine = {};
}

[[gnu::noinline]] double sum_around_a_load(fields& mine, const fields& shared) {
  mine = {10, 20, "old", 30};
  detail::load_shared(mine, shared);
  return mine.first + static_cast<double>(mine.second) + mine.third;
}

TEST(shared_copy, of_fields_that_were_just_written_has_them) {
  fields shared{};
  fields mine{};
  change_and_store(shared, mine);
  EXPECT_EQ(shared.first, 1U);
  EXPECT_EQ(shared.second, 2.5F);
  EXPECT_EQ(std::string(shared.text), "text");
  EXPECT_EQ(shared.third, 3.5);
  EXPECT_EQ(sum_around_a_load(mine, shared), 7.0);
  EXPECT_EQ(std::string(mine.text), "text");
}

TEST(shared_copy, of_a_name_ends_with_a_zero_whatever_was_there) {
  char shared[16];
  detail::short_name name;
  name.fill('n');
  detail::store_shared_name(shared, name);
  detail::load_shared_name(name, shared);
  EXPECT_EQ(std::string(name.data()), std::string(15, 'n'));
}

TEST(shared_copy, of_a_text_of_any_length_is_that_text_and_no_more) {
  alignas(8) char shared[40];
  char found[40];
  for (std::size_t size = 0; size <= 32; ++size) {
    std::memset(shared, '-', sizeof shared);
    std::memset(found, '-', sizeof found);
    const std::string text = std::string("0123456789abcdefghijklmnopqrstuv").substr(0, size);
    detail::store_shared_text(shared, text.data(), size);
    detail::load_shared_text(found, shared, size);
    const std::string expected = text + std::string(sizeof shared - size, '-');
    EXPECT_EQ(std::string(shared, sizeof shared), expected);
    EXPECT_EQ(std::string(found, sizeof found), expected);
  }
}

}  // namespace
}  // namespace outlive::testing
