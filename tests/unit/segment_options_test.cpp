// What open_or_create() asks for, against the segment that is there: whoever asks for more than
// that is refused, with both values.
#include <outlive/segment.hpp>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

using words = std::initializer_list<std::string_view>;

/// A segment made with `few_of_everything()`, and what is said to who asks it for more.
class segment_options_asked : public ::testing::Test {
 protected:
  void expect_differs(const segment_options& asked, words said) {
    expect_error(errc::options_differ, {name_.quoted()},
                 [&] { (void)segment::open_or_create(name_, asked); });
    expect_error(errc::options_differ, said, [&] { (void)segment::open_or_create(name_, asked); });
    // Who takes it as it is asks by open().
    segment_options access;
    access.mode = asked.mode;
    EXPECT_EQ(segment::open(name_, access).options().threads, 2U);
    EXPECT_EQ(segment::open(name_, asked).options().threads, 2U);
  }
  void expect_met(const segment_options& asked) {
    EXPECT_EQ(segment::open_or_create(name_, asked).base(), made_.base());
  }

  test_name name_;
  segment made_ = segment::create(name_, few_of_everything());
};

TEST_F(segment_options_asked, more_room_than_there_is_differs) {
  expect_differs({.size = 64U << 20},
                 {"found a segment with size 4096", "expected at least 67108864", "open()"});
  expect_differs({.size = 4097}, {"size 4096", "at least 4097"});
  expect_differs({.directory_capacity = 17}, {"directory_capacity 16", "at least 17"});
  expect_differs({.threads = 3}, {"threads 2", "at least 3"});
  expect_differs({.participants = 65'000}, {"participants 2", "at least 65000"});
  expect_differs({.max_held = 5}, {"max_held 4", "at least 5"});
  expect_differs({.lock_classes = 10}, {"lock_classes 9", "at least 10"});
}

TEST_F(segment_options_asked, all_that_is_not_met_is_named_in_one_message) {
  expect_differs({.size = 8192, .threads = 3, .attempts = 5},
                 {"with size 4096, threads 2, attempts 3, expected at least 8192, at least 3, 5"});
}

TEST_F(segment_options_asked, as_much_or_less_than_there_is_is_met) {
  expect_met(few_of_everything());
  expect_met({.size = 1});
  expect_met(
      {.directory_capacity = 1, .threads = 1, .participants = 1, .max_held = 1, .lock_classes = 1});
}

TEST_F(segment_options_asked, an_option_left_at_its_default_asks_for_nothing) {
  expect_met({});
  EXPECT_LT(made_.options().size, segment_options{}.size);
  EXPECT_LT(made_.options().threads, segment_options{}.threads);
}

TEST_F(segment_options_asked, other_attempts_differ_in_both_directions) {
  expect_differs({.attempts = 5}, {"attempts 3", "expected 5"});
  expect_differs({.attempts = 2}, {"attempts 3", "expected 2"});
}

TEST_F(segment_options_asked, other_marks_of_readers_differ) {
  const reader_marks there = made_.options().readers;
  expect_met({.readers = there});
  if (there == reader_marks::locked) {
    expect_differs({.readers = reader_marks::membarrier},
                   {"readers locked", "expected membarrier"});
  } else {
    expect_differs({.readers = reader_marks::locked}, {"readers membarrier", "expected locked"});
  }
}

TEST_F(segment_options_asked, permissions_that_the_file_does_not_give_differ) {
  expect_differs({.mode = 0640}, {"mode 0600", "at least 0640"});
  ASSERT_EQ(::chmod(name_.path().c_str(), 0644), 0);
  expect_met({.mode = 0640});
}

}  // namespace
}  // namespace outlive::testing
