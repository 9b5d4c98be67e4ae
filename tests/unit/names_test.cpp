// Lock classes and the names of types: one table, each name once, each class bound to what it
// guards.
#include <outlive/guarded.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

TEST(names, a_lock_tells_its_class) {
  segment seg = segment::anonymous();
  EXPECT_EQ(seg.find_or_construct<robust_mutex>("a", "shelf").lock_class(), "shelf");
  EXPECT_EQ(seg.find_or_construct<guarded<int>>("b", "account", 1).mutex().lock_class(), "account");
  const std::string longest(63, 'c');
  EXPECT_EQ(seg.find_or_construct<robust_mutex>("c", longest).lock_class(), longest);
}

TEST(names, classes_out_of_bounds_are_refused_and_leave_no_object) {
  const test_name name;
  segment seg = segment::create(name);
  const auto refused = [&](const std::string& lock_class, const std::string& found) {
    const std::string head = "lock class \"" + lock_class + '"';
    expect_error(errc::invalid_name, {head, found, "expected 1 to 63 without a zero byte"},
                 [&] { seg.find_or_construct<robust_mutex>("lock", lock_class); });
    expect_error(errc::invalid_name, {head, found},
                 [&] { (void)on_owner_death(seg, lock_class, always_consistent); });
    expect_error(errc::invalid_name, {head, found},
                 [&] { (void)on_owner_death<int>(seg, lock_class, always_consistent); });
    EXPECT_EQ(seg.find<robust_mutex>("lock"), nullptr);
  };
  refused("", "found 0 bytes");
  refused(std::string(64, 'c'), "found 64 bytes");
  expect_error(errc::invalid_name, {"lock class \"a\\0b\"", "expected 1 to 63"},
               [&] { seg.find_or_construct<robust_mutex>("lock", std::string_view("a\0b", 3)); });
}

TEST(names, a_full_table_is_told_and_what_is_in_it_works) {
  const test_name name;
  segment_options options = few_of_everything();
  options.lock_classes = 4;  // the type robust_mutex, and three classes
  segment seg = segment::create(name, options);
  for (const char* each : {"one", "two", "three"}) seg.find_or_construct<robust_mutex>(each, each);
  const auto full = {std::string_view("found all 4 names in use"),
                     std::string_view("segment_options::lock_classes")};
  expect_error(errc::no_space, {name.quoted(), "expected room for \"four\""},
               [&] { seg.find_or_construct<robust_mutex>("four", "four"); });
  expect_error(errc::no_space, full, [&] { seg.find_or_construct<robust_mutex>("four", "four"); });
  expect_error(errc::no_space, full, [&] { seg.find_or_construct<int>("number", 1); });
  expect_error(errc::no_space, full, [&] { (void)on_owner_death(seg, "four", always_consistent); });
  EXPECT_EQ(seg.find<robust_mutex>("four"), nullptr);
  auto& again = seg.find_or_construct<robust_mutex>("another one", "one");
  again.lock();
  again.unlock();
  EXPECT_NO_THROW((void)on_owner_death(seg, "two", always_consistent));
}

TEST(names, a_class_and_a_type_may_have_the_same_name) {
  segment seg = segment::anonymous();
  seg.find_or_construct<int>("number", 1);
  EXPECT_EQ(seg.find_or_construct<robust_mutex>("lock", typeid(int).name()).lock_class(),
            typeid(int).name());
  seg.for_each([&](const segment::object_info& each) {
    EXPECT_EQ(each.type, each.name == "number" ? typeid(int).name() : typeid(robust_mutex).name());
  });
}

TEST(names, a_class_guards_one_type) {
  const test_name name;
  segment seg = segment::create(name);
  seg.find_or_construct<guarded<int>>("a", "account", 1);
  const std::string head = "lock class \"account\"";
  const std::string other =
      std::string("expected type long of ") + std::to_string(sizeof(long)) + " bytes";
  expect_error(errc::type_mismatch, {name.quoted(), head, "found outlive::guarded<int", other},
               [&] { seg.find_or_construct<guarded<long>>("b", "account", 1); });
  expect_error(errc::type_mismatch, {name.quoted(), head, "found outlive::guarded<int", other},
               [&] { (void)on_owner_death<long>(seg, "account", always_consistent); });
  expect_error(
      errc::type_mismatch,
      {name.quoted(), head, "found outlive::guarded<int", "expected a robust_mutex without data"},
      [&] { seg.find_or_construct<robust_mutex>("c", "account"); });
  EXPECT_EQ(seg.find<guarded<long>>("b"), nullptr);
  EXPECT_EQ(seg.find<robust_mutex>("c"), nullptr);
  EXPECT_NO_THROW((void)on_owner_death<int>(seg, "account", always_consistent));
  EXPECT_NO_THROW(seg.find_or_construct<guarded<int>>("d", "account", 2));
}

TEST(names, a_class_of_bare_mutexes_guards_nothing) {
  const test_name name;
  segment seg = segment::create(name);
  seg.find_or_construct<robust_mutex>("a", "shelf");
  expect_error(
      errc::type_mismatch,
      {name.quoted(), "lock class \"shelf\"", "found bare mutexes", "expected type int of 4 bytes"},
      [&] { seg.find_or_construct<guarded<int>>("b", "shelf", 1); });
  expect_error(errc::type_mismatch, {"found bare mutexes"},
               [&] { (void)on_owner_death<int>(seg, "shelf", always_consistent); });
  EXPECT_NO_THROW((void)on_owner_death(seg, "shelf", always_consistent));
}

TEST(names, a_typed_registration_binds_the_class_before_any_lock_is_made) {
  segment seg = segment::anonymous();
  const auto kept = on_owner_death<int>(seg, "account", always_consistent);
  EXPECT_THROW(seg.find_or_construct<guarded<long>>("a", "account", 1), std::system_error);
  EXPECT_NO_THROW(seg.find_or_construct<guarded<int>>("b", "account", 1));
}

// Names of types are cut in the table, but compared whole.
template <int>
struct
    a_type_with_a_name_that_is_so_long_that_the_table_of_names_in_the_segment_cannot_hold_all_of_it_at_all_however_long_that_may_be_made {
  int value;
};
template <int N>
using long_name =
    a_type_with_a_name_that_is_so_long_that_the_table_of_names_in_the_segment_cannot_hold_all_of_it_at_all_however_long_that_may_be_made<
        N>;

TEST(names, types_that_differ_behind_the_cut_are_other_types) {
  segment seg = segment::anonymous();
  ASSERT_GT(std::string(typeid(long_name<1>).name()).size(), 144U);
  seg.find_or_construct<long_name<1>>("one", long_name<1>{1});
  seg.find_or_construct<long_name<2>>("two", long_name<2>{2});
  EXPECT_THROW((void)seg.find<long_name<2>>("one"), std::system_error);
  EXPECT_EQ(seg.find<long_name<2>>("two")->value, 2);
  seg.for_each([](const segment::object_info& each) {
    EXPECT_EQ(each.type, std::string(typeid(long_name<1>).name()).substr(0, 143));
  });
}

TEST(names, the_same_name_takes_one_place) {
  segment_options options = few_of_everything();
  options.lock_classes = 2;
  segment seg = segment::anonymous(options);
  for (int i = 0; i < 10; ++i)
    seg.find_or_construct<robust_mutex>("lock" + std::to_string(i), "class");
  EXPECT_THROW(seg.find_or_construct<robust_mutex>("other", "other"), std::system_error);
}

}  // namespace
}  // namespace outlive::testing
