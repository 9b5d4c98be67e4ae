// Objects whose size in lines does not fit into 32 bits: no segment holds them, and none may seem
// to.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

template <std::size_t Bytes>
struct huge {
  static inline int made = 0;
  huge() { ++made; }
  char bytes[Bytes];
};

template <std::size_t Bytes>
void expect_refused(segment& seg) {
  expect_error(errc::no_space, {"anonymous segment", "object \"huge\"", "segment_options::size"},
               [&] { seg.find_or_construct<huge<Bytes>>("huge"); });
  EXPECT_EQ(huge<Bytes>::made, 0);
  EXPECT_EQ(seg.find<huge<Bytes>>("huge"), nullptr);
}

TEST(directory_huge, an_object_whose_lines_overflow_32_bits_is_refused) {
  segment seg = segment::anonymous();
  int& before = seg.find_or_construct<int>("before", 1);
  expect_refused<(std::size_t{1} << 38) - 64>(seg);
  expect_refused<std::size_t{1} << 38>(seg);
  expect_refused<(std::size_t{1} << 38) + 64>(seg);
  expect_refused<std::size_t{1} << 40>(seg);
  EXPECT_EQ(before, 1);
  EXPECT_EQ(seg.find_or_construct<int>("after", 2), 2);
}

}  // namespace
}  // namespace outlive::testing
