// Messages of errors end with what to do, where that is not plain.
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/reset.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/robust_shared_mutex.hpp>
#include <outlive/segment_view.hpp>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct stock {
  long pieces = 0;
};

struct next_step : ::testing::Test {
  test_name name;
  segment_options options = [] {
    segment_options made;
    made.attempts = 2;
    return made;
  }();
  segment seg = segment::create(name, options);
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "savings");
};

TEST_F(next_step, without_a_repair_the_classes_that_have_one_are_named) {
  die_holding(mutex);
  expect_error(errc::owner_died_unrepaired,
               {"none for any class of the segment", "on_owner_death(segment, \"savings\", ...)"},
               [&] { mutex.lock(); });
  EXPECT_TRUE(classes_with_repair(seg).empty());
  const auto first = on_owner_death(seg, "saving", always_consistent);
  const auto second = on_owner_death(seg, "accounts", always_consistent);
  const auto single =
      on_owner_death(seg.find_or_construct<robust_mutex>("other", "x"), always_consistent);
  EXPECT_EQ(classes_with_repair(seg), (std::vector<std::string>{"saving", "accounts"}));
  expect_error(errc::owner_died_unrepaired, {"some for \"saving\", \"accounts\""},
               [&] { mutex.lock(); });
  segment another = segment::anonymous();
  EXPECT_TRUE(classes_with_repair(another).empty());
}

TEST_F(next_step, what_a_repair_throws_is_in_the_message_and_nested) {
  const auto kept = on_owner_death(seg, "savings", [](const owner_death&) -> repair_result {
    throw std::runtime_error("checksum differs");
  });
  die_holding(mutex);
  expect_error(errc::repair_failed,
               {"attempt 1 of 2", "threw \"checksum differs\"", "the next lock() tries again"},
               [&] { mutex.lock(); });
  expect_error(errc::repair_failed, {"attempt 2 of 2", "checksum differs", "outlive::reset()"},
               [&] {
                 try {
                   mutex.lock();
                 } catch (const std::system_error& error) {
                   EXPECT_THROW(std::rethrow_if_nested(error), std::runtime_error);
                   throw;
                 }
               });
}

TEST_F(next_step, not_recoverable_names_reset) {
  const auto kept = on_owner_death(seg, "savings", [](const owner_death&) { return failed; });
  die_holding(mutex);
  for (int i = 0; i < 2; ++i)
    expect_error(errc::repair_failed, {"failed, expected"}, [&] { mutex.lock(); });
  expect_error(errc::not_recoverable, {"outlive::reset()", "outlive reset"}, [&] { mutex.lock(); });
  EXPECT_TRUE(reset(mutex, always_consistent));
  EXPECT_NO_THROW(mutex.lock());
  mutex.unlock();
}

TEST_F(next_step, same_type_behind_another_kind_of_mutex_is_not_one_name_twice) {
  seg.find_or_construct<guarded<stock, robust_shared_mutex>>("stock", "stocks");
  expect_error(errc::type_mismatch,
               {"found that type with another kind of mutex, 128 bytes behind its mutex",
                "stock of 8 bytes, aligned to 8, version 0, 64 bytes behind its mutex",
                "on_owner_death<T, outlive::robust_shared_mutex>"},
               [&] { (void)on_owner_death<stock>(seg, "stocks", always_consistent); });
  EXPECT_NO_THROW(
      (void)(on_owner_death<stock, robust_shared_mutex>(seg, "stocks", always_consistent)));
}

TEST_F(next_step, damaged_segment_names_what_removes_it) {
  const segment_file file(name.path());
  file.write({0xff}, 64);  // a number of the header
  expect_error(errc::damaged, {name.quoted(), "header checksum", "outlive rm --force"},
               [&] { (void)segment_view::open(name); });
}

}  // namespace
}  // namespace outlive::testing
