// Two copies of the library in one process, as two plug-ins that bundle it have them: each would
// take the other's threads for dead or for strangers. This program has one copy in it, and loads
// another.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>

#include <dlfcn.h>

#include <gtest/gtest.h>

#include <initializer_list>
#include <stdexcept>
#include <string>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

class other_copy {
 public:
  [[nodiscard]] segment open(std::string_view name) const {
    using function = segment (*)(std::string_view, const segment_options&);
    return call<function>(
        "_ZN7outlive7segment4openESt17basic_string_viewIcSt11char_traitsIcEERKNS_15segment_"
        "optionsE")(name, {});
  }
  [[nodiscard]] segment from_fd(int fd) const {
    using function = segment (*)(int, const segment_options&);
    return call<function>("_ZN7outlive7segment7from_fdEiRKNS_15segment_optionsE")(fd, {});
  }

 private:
  template <class Function>
  [[nodiscard]] Function call(const char* symbol) const {
    void* const found = ::dlsym(library_, symbol);
    if (found == nullptr) throw std::runtime_error(::dlerror());
    return reinterpret_cast<Function>(found);
  }
  static void* load() {
    void* const made = ::dlopen(OUTLIVE_SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (made == nullptr) throw std::runtime_error(::dlerror());
    return made;
  }
  void* library_ = load();
};

/// Its error category is its own, so that codes of this copy do not compare equal.
template <class Act>
void expect_second_copy(Act act, std::initializer_list<std::string_view> words) {
  try {
    act();
    ADD_FAILURE() << "let in";
  } catch (const std::system_error& error) {
    EXPECT_STREQ(error.code().category().name(), "outlive");
    EXPECT_EQ(error.code().value(), static_cast<int>(errc::second_copy)) << error.what();
    for (const auto word : words)
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos)
          << word << " in: " << error.what();
  }
}

TEST(second_copy, is_refused_while_the_first_has_the_segment_open) {
  const other_copy other;
  const test_name name;
  {
    segment mine = segment::create(name);
    expect_second_copy([&] { (void)other.open(name); },
                       {name.quoted(), "another copy of outlive", "second_copy_process_test",
                        "expected one copy alone, in ", "liboutlive.so"});
    // Nothing of that came in the way of the first.
    ++*mine.find_or_construct<guarded<int>>("count", "count", 1).lock();
  }
  EXPECT_EQ(other.open(name).name(), std::string(name));
}

TEST(second_copy, is_refused_whichever_comes_second) {
  const other_copy other;
  const test_name name;
  { const segment made = segment::create(name); }
  const segment theirs = other.open(name);
  expect_second_copy([&] { (void)segment::open(name); }, {name.quoted(), "in ", "liboutlive.so"});
  expect_second_copy([&] { (void)segment::open_or_create(name); }, {name.quoted()});
}

TEST(second_copy, is_refused_an_anonymous_segment) {
  const other_copy other;
  const segment mine = segment::anonymous();
  expect_second_copy([&] { (void)other.from_fd(mine.fd()); }, {"anonymous segment"});
}

TEST(second_copy, is_refused_in_a_forked_child_which_has_the_first_ones_mapping) {
  const other_copy other;
  const test_name name;
  const segment mine = segment::create(name);
  child("forked", [&](agent&) {
    expect_second_copy([&] { (void)other.open(name); }, {name.quoted()});
  }).expect_exit();
}

TEST(second_copy, of_a_segment_that_this_copy_closed_and_opens_again_there_is_none) {
  const test_name name;
  { const segment made = segment::create(name); }
  for (int i = 0; i < 20; ++i) EXPECT_NO_THROW((void)segment::open(name));
}

}  // namespace
}  // namespace outlive::testing
