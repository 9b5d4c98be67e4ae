// What an object's type is known by: T itself, not only what wraps it. Types of one name and
// another layout, as two releases have them, are made here by hand: a program has only one.
#include <outlive/outlive.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "directory/directory.hpp"
#include "segment/segment_access.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct bank {
  long a = 500, b = 500;
};
struct versioned {
  int unit;
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr std::uint32_t outlive::type_version<outlive::testing::versioned> = 7;

namespace outlive::testing {
namespace {

/// The type as another release has it.
template <class T>
struct other_release {
  detail::value_facts value = detail::facts_of_value<T>;
  detail::object_type type() {
    detail::object_type made = detail::object_type_of<T>();
    made.value = &value;
    made.hash = detail::hash_of_type(made.name, made.size, made.alignment, value);
    return made;
  }
};

struct type_identity : ::testing::Test {
  test_name name;
  segment seg = segment::create(name);

  void* find(const std::string& object, const detail::object_type& type) {
    return detail::directory::find(*detail::segment_access::mapping_of(seg), object, type);
  }
  void expect_refused(const std::string& object, const detail::object_type& type,
                      const std::string& found, const std::string& expected) {
    const auto what = {std::string_view(found), std::string_view(expected),
                       std::string_view("another release")};
    expect_error(errc::type_mismatch, what, [&] { static_cast<void>(find(object, type)); });
    expect_error(errc::type_mismatch, what, [&] {
      detail::directory::find_or_construct(
          *detail::segment_access::mapping_of(seg), object, type,
          [](void*, void*) { FAIL() << "constructed"; }, nullptr);
    });
    expect_error(errc::type_mismatch, what, [&] {
      detail::directory::destroy(*detail::segment_access::mapping_of(seg), object, type,
                                 [](void*, void*) { FAIL() << "destroyed"; });
    });
  }
};

TEST_F(type_identity, a_guarded_type_that_has_grown_is_refused_though_its_object_has_not) {
  static_assert(sizeof(guarded<bank>) == 128);
  seg.find_or_construct<guarded<bank>>("bank", "bank");
  other_release<guarded<bank>> next;
  next.value.size = 24;
  expect_refused(
      "bank", next.type(),
      "bank, outlive::robust_mutex> of 128 bytes with values of 16 bytes, aligned to 8, version 0",
      "bank, outlive::robust_mutex> of 128 bytes with values of 24 bytes, aligned to 8, version 0");
  EXPECT_NE(seg.find<guarded<bank>>("bank"), nullptr);
}

TEST_F(type_identity, another_alignment_and_another_version_are_refused) {
  seg.find_or_construct<guarded<bank>>("bank", "bank");
  other_release<guarded<bank>> aligned;
  aligned.value.alignment = 16;
  expect_refused("bank", aligned.type(), "aligned to 8, version 0", "aligned to 16, version 0");
  other_release<guarded<bank>> later;
  later.value.version = 1;
  expect_refused("bank", later.type(), "aligned to 8, version 0", "aligned to 8, version 1");
}

TEST_F(type_identity, the_version_of_a_plain_object_is_compared) {
  seg.find_or_construct<versioned>("plain");
  other_release<versioned> later;
  later.value.version = 8;
  expect_refused("plain", later.type(), "versioned of 4 bytes, aligned to 4, version 7",
                 "versioned of 4 bytes, aligned to 4, version 8");
}

TEST_F(type_identity, what_wraps_a_type_has_its_size_alignment_and_version) {
  const auto expect_of_bank = [](const detail::value_facts& found) {
    EXPECT_EQ(found.size, sizeof(bank));
    EXPECT_EQ(found.alignment, alignof(bank));
  };
  expect_of_bank(detail::facts_of_value<guarded<bank>>);
  expect_of_bank(detail::facts_of_value<guarded<bank, robust_shared_mutex>>);
  expect_of_bank(detail::facts_of_value<work_queue<bank, 4>>);
  expect_of_bank(detail::facts_of_value<std::array<bank, 3>>);
  expect_of_bank(detail::facts_of_value<bank[3]>);
  expect_of_bank(detail::facts_of_value<std::array<guarded<bank>, 2>>);
  expect_of_bank(detail::facts_of_value<guarded<std::array<bank, 2>>>);
  EXPECT_EQ(detail::facts_of_value<guarded<versioned>>.version, 7U);
  EXPECT_EQ((detail::facts_of_value<work_queue<versioned, 4>>.version), 7U);
  EXPECT_EQ((detail::facts_of_value<std::array<guarded<versioned>, 2>>.version), 7U);
  EXPECT_EQ(detail::object_type_of<const bank>().hash, detail::object_type_of<bank>().hash);
}

TEST_F(type_identity, a_queue_of_longer_jobs_is_refused) {
  seg.find_or_construct<work_queue<bank, 4>>("jobs");
  other_release<work_queue<bank, 4>> next;
  next.value.size = 24;
  expect_refused("jobs", next.type(), "values of 16 bytes", "values of 24 bytes");
}

TEST_F(type_identity, the_memory_of_one_release_is_not_used_for_the_other) {
  seg.find_or_construct<versioned>("old");
  const void* const at = seg.find<versioned>("old");
  ASSERT_TRUE(seg.destroy<versioned>("old"));
  other_release<versioned> later;
  later.value.version = 8;
  auto& map = *detail::segment_access::mapping_of(seg);
  EXPECT_NE(detail::directory::find_or_construct(
                map, "new", later.type(), [](void*, void*) {}, nullptr),
            at);
  EXPECT_EQ(&seg.find_or_construct<versioned>("again"), at);
}

TEST_F(type_identity, a_class_that_guards_another_version_is_refused_with_both) {
  seg.find_or_construct<guarded<versioned>>("a", "class");
  detail::guarded_type later = detail::guarded_type_of<versioned>();
  later.version = 8;
  later.hash ^= 2;
  expect_error(errc::type_mismatch,
               {"lock class \"class\"", " with a value of 4 bytes, aligned to 4, version 7",
                "versioned of 4 bytes, aligned to 4, version 8"},
               [&] {
                 static_cast<void>(detail::on_guarded_owner_death(
                     seg, "class", later, [](void*, const owner_death&) { return repaired; }));
               });
}

struct with_a_vector {
  std::vector<long> lines;
};
struct with_a_virtual final {
  virtual void act() {}
};
struct with_a_mutex {
  robust_mutex mutex{"class"};
};

TEST(shareable, what_lies_in_one_process_is_not) {
  EXPECT_FALSE(shareable<int*>);
  EXPECT_FALSE(shareable<const int* const>);
  EXPECT_FALSE(shareable<int& (*)()>);
  EXPECT_FALSE(shareable<int bank::*>);
  EXPECT_FALSE(shareable<std::nullptr_t>);
  EXPECT_FALSE(shareable<std::string>);
  EXPECT_FALSE(shareable<std::string_view>);
  EXPECT_FALSE(shareable<std::span<int>>);
  EXPECT_FALSE(shareable<std::reference_wrapper<int>>);
  EXPECT_FALSE(shareable<std::function<void()>>);
  EXPECT_FALSE(shareable<std::unique_ptr<int>>);
  EXPECT_FALSE(shareable<with_a_vector>);
  EXPECT_FALSE(shareable<with_a_virtual>);
  EXPECT_FALSE(shareable<with_a_mutex>);  // until somebody says so
  EXPECT_FALSE((shareable<int* [4]>));
  EXPECT_FALSE((shareable<std::array<std::string, 4>>));
  EXPECT_FALSE(shareable<std::atomic<int*>>);
  EXPECT_FALSE(shareable<std::optional<int*>>);
  EXPECT_FALSE((shareable<std::pair<int, int*>>));
  EXPECT_FALSE((shareable<std::tuple<int, std::string>>));
}

TEST(shareable, plain_values_and_the_librarys_own_objects_are) {
  EXPECT_TRUE(shareable<int>);
  EXPECT_TRUE(shareable<bank>);
  EXPECT_TRUE(shareable<const bank>);
  EXPECT_TRUE((shareable<bank[2][3]>));
  EXPECT_TRUE((shareable<std::array<bank, 3>>));
  EXPECT_TRUE(shareable<std::atomic<long>>);
  EXPECT_TRUE((shareable<std::pair<int, bank>>));
  EXPECT_TRUE((shareable<std::tuple<int, long>>));
  EXPECT_TRUE(shareable<std::optional<bank>>);
  EXPECT_TRUE(shareable<robust_mutex>);
  EXPECT_TRUE(shareable<robust_shared_mutex>);
  EXPECT_TRUE(shareable<robust_condition_variable>);
  EXPECT_TRUE(shareable<guarded<bank>>);
  EXPECT_TRUE((shareable<guarded<bank, robust_shared_mutex>>));
  EXPECT_TRUE((shareable<std::array<guarded<bank>, 2>>));
  EXPECT_TRUE(shareable<permit_pool<4>>);
  EXPECT_TRUE((shareable<work_queue<bank, 4>>));
}

}  // namespace
}  // namespace outlive::testing
