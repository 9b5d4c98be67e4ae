// Objects by name: made once, found, destroyed, their memory used again for the same type only.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <outlive/guarded.hpp>
#include <outlive/robust_mutex.hpp>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

// Says of its own construction and destruction.
struct witness {
  static inline int made = 0;
  static inline int ended = 0;
  explicit witness(int v) : value(v) { ++made; }
  ~witness() { ++ended; }
  int value;
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::witness> = true;

namespace outlive::testing {
namespace {

struct thrower {
  explicit thrower(bool really) {
    if (really) throw std::runtime_error("no luck");
  }
  int value = 1;
};

TEST(directory, an_object_is_constructed_once_and_found_by_its_name) {
  segment seg = segment::anonymous();
  witness& first = seg.find_or_construct<witness>("w", 1);
  witness& second = seg.find_or_construct<witness>("w", 2);
  EXPECT_EQ(&first, &second);
  EXPECT_EQ(second.value, 1);
  EXPECT_EQ(witness::made, 1);
  EXPECT_EQ(seg.find<witness>("w"), &first);
  EXPECT_EQ(seg.find<witness>("W"), nullptr);
  EXPECT_EQ(seg.find<witness>("w "), nullptr);
}

#ifndef __SANITIZE_THREAD__  // which makes system calls of its own
TEST(directory, a_look_up_makes_no_system_call) {
  segment seg = segment::anonymous();
  seg.find_or_construct<int>("here", 42);
  const std::string absent(30, 'x');
  expect_no_system_call([&] {
    if (*seg.find<int>("here") != 42 || seg.find<int>(absent) != nullptr) ::abort();
    if (seg.find_or_construct<int>("here", 7) != 42) ::abort();
  });
}
#endif

TEST(directory, names_of_all_lengths_are_kept_apart) {
  segment seg = segment::anonymous();
  for (std::size_t length = 1; length <= 255; ++length)
    seg.find_or_construct<std::size_t>(std::string(length, 'n'), length);
  for (std::size_t length = 1; length <= 255; ++length) {
    const auto* const found = seg.find<std::size_t>(std::string(length, 'n'));
    ASSERT_NE(found, nullptr) << length;
    EXPECT_EQ(*found, length);
  }
  EXPECT_EQ(seg.find<std::size_t>(std::string(256, 'n')), nullptr);
  // Names may hold what names of files may not.
  EXPECT_EQ(seg.find_or_construct<int>("a/b \xff\n", 5), 5);
  EXPECT_EQ(*seg.find<int>("a/b \xff\n"), 5);
}

TEST(directory, names_out_of_bounds_are_refused) {
  const test_name name;
  segment seg = segment::create(name);
  const auto refused = [&](const std::string& object, const std::string& found) {
    expect_error(errc::invalid_name,
                 {name.quoted(), "object \"" + object.substr(0, 80) + '"', found,
                  "expected 1 to 255 without a zero byte"},
                 [&] { seg.find_or_construct<int>(object, 1); });
  };
  refused("", "a name of 0 bytes");
  refused(std::string(256, 'n'), "a name of 256 bytes");
  refused(std::string(70'000, 'n'), "a name of 70000 bytes");
  // what() would end at a zero byte.
  expect_error(errc::invalid_name,
               {name.quoted(), "object \"a\\0b\"", "expected 1 to 255 without a zero byte"},
               [&] { seg.find_or_construct<int>(std::string("a\0b", 3), 1); });
  EXPECT_EQ(seg.find<int>(""), nullptr);
  EXPECT_FALSE(seg.destroy<int>(""));
}

TEST(directory, another_type_is_refused_and_both_are_named) {
  const test_name name;
  segment seg = segment::create(name);
  seg.find_or_construct<std::int32_t>("number", 7);
  const std::string found = "found type int of 4 bytes, aligned to 4, version 0";
  const std::string expected = "expected double of 8 bytes, aligned to 8, version 0";
  const auto refused = [&](const std::function<void()>& act) {
    expect_error(errc::type_mismatch, {name.quoted(), "object \"number\"", found, expected}, act);
  };
  refused([&] { (void)seg.find<double>("number"); });
  refused([&] { (void)seg.find_or_construct<double>("number", 1.0); });
  refused([&] { (void)seg.destroy<double>("number"); });
  // Same size, another name; same name is the same type.
  EXPECT_THROW((void)seg.find<std::uint32_t>("number"), std::system_error);
  EXPECT_EQ(*seg.find<std::int32_t>("number"), 7);
}

TEST(directory, objects_are_aligned_and_do_not_overlap) {
  struct alignas(64) line {
    char bytes[65];
  };
  segment seg = segment::anonymous();
  std::vector<std::pair<std::uintptr_t, std::uintptr_t>> taken;
  const auto check = [&](const auto& object) {
    const auto begin = reinterpret_cast<std::uintptr_t>(&object);
    EXPECT_EQ(begin % 64, 0U);
    for (const auto& [b, e] : taken) EXPECT_TRUE(begin >= e || begin + sizeof object <= b);
    taken.emplace_back(begin, begin + sizeof object);
  };
  for (int i = 0; i < 20; ++i) {
    const std::string suffix = std::to_string(i);
    check(seg.find_or_construct<char>("char" + suffix, 'c'));
    check(seg.find_or_construct<line>("line" + suffix));
    check(seg.find_or_construct<std::array<char, 64>>("64 bytes and a long name " + suffix));
    check(seg.find_or_construct<std::array<char, 1000>>("1000" + suffix));
  }
}

TEST(directory, a_constructor_that_throws_leaves_nothing) {
  segment seg = segment::anonymous(few_of_everything());
  // More often than there are places and memory.
  for (int i = 0; i < 1000; ++i)
    EXPECT_THROW(seg.find_or_construct<thrower>("thrower", true), std::runtime_error);
  EXPECT_EQ(seg.find<thrower>("thrower"), nullptr);
  seg.for_each([](const segment::object_info& each) { ADD_FAILURE() << each.name; });
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(seg.find_or_construct<thrower>("thrower" + std::to_string(i), false).value, 1);
}

TEST(directory, a_constructor_that_uses_the_directory_is_told_so) {
  struct nested {
    explicit nested(segment& seg) { seg.find_or_construct<int>("inner", 1); }
  };
  const test_name name;
  segment seg = segment::create(name);
  expect_error(errc::deadlock, {name.quoted(), "directory", "constructor"},
               [&] { seg.find_or_construct<nested>("outer", seg); });
  EXPECT_EQ(seg.find<nested>("outer"), nullptr);
  EXPECT_EQ(seg.find_or_construct<int>("inner", 2), 2);
}

TEST(directory, destroy_runs_the_destructor_and_frees_the_name) {
  segment seg = segment::anonymous();
  seg.find_or_construct<witness>("w", 1);
  EXPECT_TRUE(seg.destroy<witness>("w"));
  EXPECT_EQ(witness::ended, 1);
  EXPECT_EQ(seg.find<witness>("w"), nullptr);
  EXPECT_FALSE(seg.destroy<witness>("w"));
  EXPECT_EQ(witness::ended, 1);
  // The name may now be another type's.
  EXPECT_EQ(seg.find_or_construct<double>("w", 1.5), 1.5);
}

TEST(directory, memory_is_used_again_for_the_same_type_and_no_other) {
  segment seg = segment::anonymous();
  std::set<const void*> locks;
  for (int i = 0; i < 8; ++i)
    locks.insert(&seg.find_or_construct<robust_mutex>("lock" + std::to_string(i), "class"));
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(seg.destroy<robust_mutex>("lock" + std::to_string(i)));
  using as_big = std::array<std::uint64_t, 8>;
  static_assert(sizeof(as_big) == sizeof(robust_mutex));
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(locks.count(&seg.find_or_construct<as_big>("other" + std::to_string(i))), 0U);
  std::set<const void*> again;
  for (int i = 0; i < 8; ++i)
    again.insert(&seg.find_or_construct<robust_mutex>("anew" + std::to_string(i), "class"));
  EXPECT_EQ(again, locks);
}

TEST(directory, making_and_destroying_for_ever_takes_no_memory) {
  segment seg = segment::anonymous(few_of_everything());
  for (int i = 0; i < 5000; ++i) {
    seg.find_or_construct<int>("a" + std::to_string(i), i);
    seg.find_or_construct<std::array<int, 30>>("b" + std::to_string(i));
    ASSERT_TRUE(seg.destroy<int>("a" + std::to_string(i)));
    ASSERT_TRUE((seg.destroy<std::array<int, 30>>("b" + std::to_string(i))));
  }
}

TEST(directory, a_held_mutex_is_not_destroyed) {
  const test_name name;
  segment seg = segment::create(name);
  auto& bare = seg.find_or_construct<robust_mutex>("bare", "bare");
  auto& account = seg.find_or_construct<guarded<int>>("account", "account", 5);
  bare.lock();
  auto hold = account.lock();
  expect_error(errc::in_use,
               {name.quoted(), "object \"bare\"", "found its mutex held", "expected it free"},
               [&] { seg.destroy<robust_mutex>("bare"); });
  expect_error(errc::in_use, {name.quoted(), "object \"account\""},
               [&] { seg.destroy<guarded<int>>("account"); });
  EXPECT_EQ(*hold, 5);
  bare.unlock();
  hold.unlock();
  EXPECT_TRUE(seg.destroy<robust_mutex>("bare"));
  EXPECT_TRUE(seg.destroy<guarded<int>>("account"));
  // Who kept the reference is told.
  expect_error(errc::damaged, {name.quoted()}, [&] { bare.lock(); });
}

TEST(directory, full_it_refuses_and_names_the_limit) {
  const test_name name;
  segment seg = segment::create(name, few_of_everything());
  for (int i = 0; i < 16; ++i) seg.find_or_construct<char>(std::to_string(i), 'c');
  expect_error(errc::directory_full,
               {name.quoted(), "object \"one more\"", "found all 16 objects in use",
                "segment_options::directory_capacity"},
               [&] { seg.find_or_construct<char>("one more", 'c'); });
  // What is there is found, and one that goes makes room for one.
  EXPECT_EQ(seg.find_or_construct<char>("7", 'x'), 'c');
  EXPECT_TRUE(seg.destroy<char>("7"));
  EXPECT_EQ(seg.find_or_construct<char>("one more", 'd'), 'd');
  EXPECT_THROW(seg.find_or_construct<char>("and another", 'c'), std::system_error);
}

TEST(directory, out_of_memory_it_refuses_and_names_the_size) {
  const test_name name;
  segment_options options = few_of_everything();
  options.directory_capacity = 1000;
  segment seg = segment::create(name, options);
  std::size_t made = 0;
  const auto fill = [&] {
    for (; made < 1000; ++made) seg.find_or_construct<std::size_t>(std::to_string(made), made);
  };
  expect_error(errc::no_space,
               {name.quoted(), "object \"32\"", "found 0 bytes left", "expected 128",
                "segment_options::size"},
               fill);
  EXPECT_EQ(made, 32U);  // two lines each
  for (std::size_t i = 0; i < made; ++i) EXPECT_EQ(*seg.find<std::size_t>(std::to_string(i)), i);
  EXPECT_TRUE(seg.destroy<std::size_t>("5"));
  EXPECT_THROW(seg.find_or_construct<int>("another type", 1), std::system_error);
  EXPECT_EQ(seg.find_or_construct<std::size_t>("again", 55U), 55U);
}

TEST(directory, an_object_larger_than_the_segment_is_refused) {
  segment seg = segment::anonymous(few_of_everything());
  struct huge {
    char bytes[1 << 20];
  };
  expect_error(
      errc::no_space,
      {"anonymous segment", "object \"huge\"", "found 4096 bytes left", "expected 1048640"},
      [&] { seg.find_or_construct<huge>("huge"); });
  EXPECT_EQ(seg.find_or_construct<int>("small", 1), 1);
}

TEST(directory, for_each_shows_every_object_as_it_is) {
  segment seg = segment::anonymous();
  const std::string long_name(200, 'l');
  int& number = seg.find_or_construct<int>("number", 1);
  double& real = seg.find_or_construct<double>(long_name, 1.5);
  seg.find_or_construct<char>("gone", 'c');
  seg.destroy<char>("gone");
  std::set<std::string> seen;
  seg.for_each([&](const segment::object_info& each) {
    if (each.name == "made within") return;
    seen.emplace(each.name);
    const bool is_number = each.name == "number";
    EXPECT_EQ(each.type, is_number ? typeid(int).name() : typeid(double).name());
    EXPECT_EQ(each.size, is_number ? sizeof(int) : sizeof(double));
    EXPECT_EQ(each.address, is_number ? static_cast<void*>(&number) : static_cast<void*>(&real));
    seg.find_or_construct<char>("made within", 'c');  // it holds no lock
  });
  EXPECT_EQ(seen, (std::set<std::string>{"number", long_name}));
  EXPECT_THROW(
      seg.for_each([](const segment::object_info&) { throw std::runtime_error("enough"); }),
      std::runtime_error);
}

}  // namespace
}  // namespace outlive::testing
