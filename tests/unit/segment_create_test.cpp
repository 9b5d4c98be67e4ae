// Making, opening and removing segments: names, options, and who gets which error.
#include <outlive/segment.hpp>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include <string>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

TEST(segment_create, an_object_made_by_one_handle_is_found_by_another) {
  const test_name name;
  segment made = segment::create(name);
  made.find_or_construct<int>("answer", 42);
  const segment opened = segment::open(name);
  ASSERT_NE(opened.find<int>("answer"), nullptr);
  EXPECT_EQ(*opened.find<int>("answer"), 42);
  EXPECT_EQ(opened.find<int>("question"), nullptr);
}

TEST(segment_create, missing_segment_is_not_found) {
  const test_name name;
  expect_error(errc::not_found,
               {name.quoted(), "found no " + name.path(), "expected a segment", "open_or_create()"},
               [&] { (void)segment::open(name); });
}

TEST(segment_create, existing_segment_is_refused_and_left_as_it_is) {
  const test_name name;
  segment made = segment::create(name);
  made.find_or_construct<int>("answer", 42);
  expect_error(errc::already_exists, {name.quoted(), "found " + name.path(), "expected no segment"},
               [&] { (void)segment::create(name); });
  EXPECT_EQ(*segment::open(name).find<int>("answer"), 42);
}

TEST(segment_create, open_or_create_makes_it_once) {
  const test_name name;
  segment first = segment::open_or_create(name);
  first.find_or_construct<int>("answer", 42);
  segment second = segment::open_or_create(name);
  EXPECT_EQ(second.find_or_construct<int>("answer", 7), 42);
}

TEST(segment_create, a_file_that_others_made_is_not_overwritten_by_create) {
  const test_name name;
  { const unique_fd file(::open(name.path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }
  expect_error(errc::already_exists, {name.path()}, [&] { (void)segment::create(name); });
  struct stat info {};
  ASSERT_EQ(::stat(name.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 0);
}

TEST(segment_create, names_out_of_bounds_are_refused_by_every_function) {
  const std::string with_zero("a\0b", 3);
  const struct {
    std::string name;
    std::string found;
  } bad[] = {{"", "an empty name"},      {std::string(201, 'n'), "too long"},
             {"a/b", "a slash"},         {"../escape", "a slash"},
             {with_zero, "a zero byte"}, {std::string(100'000, 'n'), "too long"}};
  for (const auto& each : bad) {
    // Not a structured binding, which a lambda cannot capture in clang 14.
    const std::string& name = each.name;
    const std::string& found = each.found;
    const std::string head = name == with_zero ? std::string("a\\0") : name.substr(0, 80);
    const auto refused = [&](const std::function<void()>& act) {
      expect_error(errc::invalid_name, {"segment \"" + head, found, "expected 1 to 200 bytes"},
                   act);
    };
    refused([&] { (void)segment::create(name); });
    refused([&] { (void)segment::open(name); });
    refused([&] { (void)segment::open_or_create(name); });
    refused([&] { (void)segment::unlink(name); });
  }
}

TEST(segment_create, names_of_one_and_of_200_bytes_work) {
  std::string longest = "test-" + std::to_string(getpid()) + "-";
  longest.resize(200, 'n');
  segment made = segment::create(longest);
  EXPECT_EQ(made.name(), longest);
  EXPECT_EQ(segment::open(longest).name(), longest);
  EXPECT_TRUE(segment::unlink(longest));
  // A single byte, from those that no program would use.
  const std::string shortest = "\x01";
  segment::unlink(shortest);
  EXPECT_EQ(segment::create(shortest).name(), shortest);
  EXPECT_TRUE(segment::unlink(shortest));
}

TEST(segment_create, options_out_of_range_are_named_with_their_range) {
  const test_name name;
  using change = std::function<void(segment_options&)>;
  const struct {
    const char* option;
    change set;
    std::string found;
    std::string expected;
  } bad[] = {
      {"size", [](segment_options& o) { o.size = 0; }, "0", "1 to 137438953472"},
      {"size", [](segment_options& o) { o.size = (std::size_t{1} << 37) + 1; }, "137438953473",
       "1 to 137438953472"},
      {"size", [](segment_options& o) { o.size = ~std::size_t{0}; }, "18446744073709551615",
       "1 to 137438953472"},
      {"directory_capacity", [](segment_options& o) { o.directory_capacity = 0; }, "0",
       "1 to 268435456"},
      {"directory_capacity", [](segment_options& o) { o.directory_capacity = 268435457; },
       "268435457", "1 to 268435456"},
      {"threads", [](segment_options& o) { o.threads = 0; }, "0", "1 to 65000"},
      {"threads", [](segment_options& o) { o.threads = 65001; }, "65001", "1 to 65000"},
      {"participants", [](segment_options& o) { o.participants = 0; }, "0", "1 to 65000"},
      {"participants", [](segment_options& o) { o.participants = 65001; }, "65001", "1 to 65000"},
      {"max_held", [](segment_options& o) { o.max_held = 0; }, "0", "1 to 1900"},
      {"max_held", [](segment_options& o) { o.max_held = 1901; }, "1901", "1 to 1900"},
      {"attempts", [](segment_options& o) { o.attempts = 0; }, "0", "1 to 63"},
      {"attempts", [](segment_options& o) { o.attempts = 64; }, "64", "1 to 63"},
      {"lock_classes", [](segment_options& o) { o.lock_classes = 0; }, "0", "1 to 65535"},
      {"lock_classes", [](segment_options& o) { o.lock_classes = 65536; }, "65536", "1 to 65535"},
      {"mode", [](segment_options& o) { o.mode = 01000; }, "512", "0 to 511"},
  };
  for (const auto& [option, set, found, expected] : bad) {
    segment_options options;
    set(options);
    const std::string head = std::string("segment_options::") + option + " is " + found;
    expect_error(std::make_error_code(std::errc::invalid_argument), {head, "expected " + expected},
                 [&] { (void)segment::create(name, options); });
    expect_error(std::make_error_code(std::errc::invalid_argument), {head},
                 [&] { (void)segment::anonymous(options); });
    EXPECT_FALSE(exists(name.path()));
  }
}

TEST(segment_create, options_are_those_it_was_made_with_whoever_opens_it) {
  const test_name name;
  segment_options options = few_of_everything();
  options.attempts = 7;
  options.mode = 0660;
  const segment made = segment::create(name, options);
  segment_options others;
  others.attempts = 1;
  others.mode = 0660;
  for (const segment& each : {made, segment::open(name, others)}) {
    const segment_options found = each.options();
    EXPECT_EQ(found.size, 4096U);
    EXPECT_EQ(found.directory_capacity, 16U);
    EXPECT_EQ(found.threads, 2U);
    EXPECT_EQ(found.participants, 2U);
    EXPECT_EQ(found.max_held, 4U);
    EXPECT_EQ(found.attempts, 7U);
    EXPECT_EQ(found.lock_classes, 9U);
    EXPECT_EQ(found.mode, 0660U);
  }
}

TEST(segment_create, the_file_has_the_mode_asked_for_whatever_the_umask) {
  const mode_t before = ::umask(0077);
  for (const unsigned mode : {0600U, 0640U, 0660U, 0666U}) {
    const test_name name;
    segment_options options;
    options.mode = mode;
    const segment made = segment::create(name, options);
    struct stat info {};
    ASSERT_EQ(::stat(name.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, mode);
  }
  ::umask(before);
}

TEST(segment_create, unlink_takes_the_name_and_leaves_the_users) {
  const test_name name;
  segment old = segment::create(name);
  int& answer = old.find_or_construct<int>("answer", 42);
  EXPECT_TRUE(segment::unlink(name));
  EXPECT_FALSE(segment::unlink(name));
  EXPECT_EQ(answer, 42);
  // A new one of that name is another segment.
  const segment fresh = segment::create(name);
  EXPECT_EQ(fresh.find<int>("answer"), nullptr);
  EXPECT_EQ(*old.find<int>("answer"), 42);
  EXPECT_NE(fresh.base(), old.base());
}

TEST(segment_create, anonymous_segments_have_no_name_and_do_not_share) {
  segment one = segment::anonymous();
  const segment other = segment::anonymous();
  one.find_or_construct<int>("answer", 42);
  EXPECT_EQ(one.name(), "");
  EXPECT_EQ(other.find<int>("answer"), nullptr);
}

TEST(segment_create, from_fd_finds_the_same_mapping_and_leaves_the_descriptor) {
  segment made = segment::anonymous();
  made.find_or_construct<int>("answer", 42);
  const unique_fd copy(::dup(made.fd()));
  {
    const segment again = segment::from_fd(copy.get());
    EXPECT_EQ(again.base(), made.base());
    EXPECT_EQ(*again.find<int>("answer"), 42);
  }
  EXPECT_GE(::fcntl(copy.get(), F_GETFD), 0);
  // The segment's own descriptor is not inherited by other programs.
  EXPECT_EQ(::fcntl(made.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(segment_create, all_of_the_size_asked_for_is_there_and_reserved) {
  const test_name name;
  segment_options options;
  options.size = 1'000'000;
  const segment made = segment::create(name, options);
  struct stat info {};
  ASSERT_EQ(::stat(name.path().c_str(), &info), 0);
  EXPECT_EQ(static_cast<std::size_t>(info.st_size), made.size_bytes());
  EXPECT_GE(static_cast<std::size_t>(info.st_blocks) * 512, made.size_bytes());
  EXPECT_GE(made.size_bytes(), 1'000'000U);
}

}  // namespace
}  // namespace outlive::testing
