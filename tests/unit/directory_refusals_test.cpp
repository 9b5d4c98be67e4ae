// What a refused or failed call must not do: use up a name, wait for another's constructor, need
// memory once a destructor has run.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

#include "format/layout.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace {

constinit thread_local bool memory_is_out = false;

}  // namespace

// Not inlined, where gcc sees malloc and free and takes them for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (!memory_is_out) {
    if (void* const memory = std::malloc(size)) return memory;
  }
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace outlive::testing {
namespace {

const std::string long_name(60, 'l');

std::uint32_t names_in(const segment& seg) {
  return static_cast<const detail::segment_header*>(seg.base())->name_count.load() & 0xffff;
}

TEST(directory_refusals, a_refused_type_uses_no_name_up) {
  segment_options options = few_of_everything();
  options.directory_capacity = 1;
  segment seg = segment::anonymous(options);
  seg.find_or_construct<int>("a", 1);
  const std::uint32_t before = names_in(seg);
  expect_error(errc::type_mismatch, {"object \"a\""},
               [&] { seg.find_or_construct<long>("a", 1L); });
  expect_error(errc::directory_full, {"object \"b\""},
               [&] { seg.find_or_construct<char>("b", 'c'); });
  EXPECT_EQ(names_in(seg), before);
}

TEST(directory_refusals, an_object_that_is_there_waits_for_no_constructor) {
  struct slow {
    slow(shared_value<int>& begun, shared_value<int>& go) {
      begun.store(1);
      EXPECT_TRUE(go.wait_equal(1));
    }
  };
  segment seg = segment::anonymous();
  for (int i = 0; i < 1000; ++i) seg.find_or_construct<int>("o" + std::to_string(i), i);
  shared_value<int> begun;
  shared_value<int> go;
  std::thread constructor([&] { seg.find_or_construct<slow>("slow", begun, go); });
  EXPECT_TRUE(begun.wait_equal(1));
  shared_value<int> done;
  std::thread user([&] {
    for (int i = 0; i < 1000; ++i)
      EXPECT_EQ(seg.find_or_construct<int>("o" + std::to_string(i), -1), i);
    done.store(1);
  });
  EXPECT_TRUE(done.wait_equal(1)) << "it waits for the constructor of another object";
  go.store(1);
  user.join();
  constructor.join();
}

TEST(directory_refusals, destroy_needs_no_memory) {
  segment seg = segment::anonymous();
  seg.find_or_construct<int>(long_name, 1);
  memory_is_out = true;
  EXPECT_NO_THROW(EXPECT_TRUE(seg.destroy<int>(long_name)));
  memory_is_out = false;
  EXPECT_EQ(seg.find_or_construct<int>(long_name, 2), 2);
}

TEST(directory_refusals, a_constructors_own_exception_comes_out_though_memory_is_out) {
  struct failing {
    failing() {
      memory_is_out = true;
      throw 4711;
    }
  };
  segment seg = segment::anonymous();
  int caught = 0;
  try {
    seg.find_or_construct<failing>(long_name);
  } catch (const int number) {
    caught = number;
  } catch (const std::bad_alloc&) {
    caught = -1;
  }
  memory_is_out = false;
  EXPECT_EQ(caught, 4711);
  EXPECT_EQ(seg.find<failing>(long_name), nullptr);
  EXPECT_EQ(seg.find_or_construct<int>(long_name, 2), 2);
}

}  // namespace
}  // namespace outlive::testing
