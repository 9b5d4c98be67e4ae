// Whose segment it is: another user's is refused unless it is expected, and so is one of another
// PID namespace.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "support/namespaces.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

constexpr uid_t stranger = 65'534;  // "nobody", everywhere

void become(uid_t user) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 ||
      ::setresuid(user, user, user) != 0) {
    throw std::system_error(errno, std::generic_category(), "becoming another user");
  }
}

#define REQUIRE_ROOT() \
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user"

TEST(segment_users, another_users_segment_is_refused) {
  REQUIRE_ROOT();
  const test_name name;
  segment_options options;
  options.mode = 0666;
  const segment seg = segment::create(name, options);
  child("stranger", [&](agent&) {
    become(stranger);
    expect_error(errc::wrong_owner,
                 {name.quoted(), "found owner uid 0", "expected uid 65534",
                  "segment_options::expected_owners"},
                 [&] { (void)segment::open(name, options); });
    expect_error(errc::wrong_owner, {name.quoted()},
                 [&] { (void)segment::open_or_create(name, options); });
    expect_error(errc::wrong_owner, {"file descriptor"},
                 [&] { (void)segment::from_fd(seg.fd(), options); });
    // Root's, and meant so.
    segment_options of_root = options;
    of_root.expected_owners = {0};
    EXPECT_EQ(segment::open(name, of_root).name(), std::string(name));
  }).expect_exit();
}

TEST(segment_users, root_opens_a_workers_segment_if_told_whose_it_is) {
  REQUIRE_ROOT();
  const test_name name;
  child worker("worker", [&](agent& parent) {
    become(stranger);
    segment seg = segment::create(name);
    seg.find_or_construct<guarded<int>>("count", "count", 7);
    parent.tell("made");
    parent.await("go");
    EXPECT_EQ(*seg.find<guarded<int>>("count")->lock(), 8);
  });
  worker.wait_for("made");
  expect_error(errc::wrong_owner, {name.quoted(), "found owner uid 65534", "expected uid 0"},
               [&] { (void)segment::open(name); });
  segment_options options;
  options.expected_owners = {12'344, stranger};
  {
    const segment seg = segment::open(name, options);
    ++*seg.find<guarded<int>>("count")->lock();
  }
  EXPECT_EQ(segment_view::open(name, options).owner(), stranger);
  options.expected_owners = {12'345, 12'346};
  const std::string expected = "expected uid 0 or 12345 or 12346";
  expect_error(errc::wrong_owner, {expected}, [&] { (void)segment::open(name, options); });
  expect_error(errc::wrong_owner, {expected}, [&] { (void)segment_view::open(name, options); });
  worker.tell("go");
  worker.expect_exit();
}

// Each names the other, and itself by being who it is: the same options work for both, whoever is
// the first.
TEST(segment_users, of_two_users_either_may_come_first) {
  REQUIRE_ROOT();
  constexpr uid_t other_stranger = 65'533;
  segment_options options;
  options.mode = 0666;
  for (const auto& [first, second] :
       {std::pair{stranger, other_stranger}, std::pair{other_stranger, stranger}}) {
    const test_name name;
    for (const uid_t user : {first, second, first}) {  // who made it comes again, too
      options.expected_owners = {user == stranger ? other_stranger : stranger};
      child worker("worker", [&](agent&) {
        become(user);
        segment seg = segment::open_or_create(name, options);
        ++*seg.find_or_construct<guarded<int>>("count", "count", 0).lock();
      });
      worker.expect_exit();
    }
    options.expected_owners = {stranger, other_stranger};
    EXPECT_EQ(*segment::open(name, options).find<guarded<int>>("count")->lock(), 3);
  }
}

TEST(segment_users, a_segment_without_permission_is_the_systems_error) {
  REQUIRE_ROOT();
  const test_name name;
  const segment seg = segment::create(name);
  child("stranger", [&](agent&) {
    become(stranger);
    expect_error(
        std::make_error_code(std::errc::permission_denied),
        {name.quoted(), name.path(), "of uid 0 with mode 0600", "that uid 65534 may write it"},
        [&] { (void)segment::open(name); });
    // /dev/shm is sticky: nor can it be taken away.
    expect_error(std::make_error_code(std::errc::operation_not_permitted), {name.path()},
                 [&] { (void)segment::unlink(name); });
  }).expect_exit();
}

TEST(segment_users, users_who_share_a_segment_exclude_each_other) {
  REQUIRE_ROOT();
  const test_name name;
  segment_options options;
  options.mode = 0666;
  options.expected_owners = {0};
  segment seg = segment::create(name, options);
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  child other("other", [&](agent& parent) {
    become(stranger);
    const segment mine = segment::open(name, options);
    auto& theirs = *mine.find<guarded<int>>("count");
    parent.tell("ready");
    for (int i = 0; i < 2000; ++i) ++*theirs.lock();
  });
  other.wait_for("ready");
  for (int i = 0; i < 2000; ++i) ++*count.lock();
  other.expect_exit();
  EXPECT_EQ(*count.lock(), 4000);
}

TEST(segment_users, a_segment_of_another_pid_namespace_is_refused) {
  if (const auto why = pid_namespace_unavailable()) GTEST_SKIP() << *why;
  const test_name name;
  const segment seg = segment::create(name);
  child("inside", [&](agent& parent) {
    run_in_pid_namespace(parent, [&] {
      expect_error(
          errc::wrong_pid_namespace,
          {name.quoted(), "found PID namespace ", "expected this process's ", "thread ids"},
          [&] { (void)segment::open(name); });
      expect_error(errc::wrong_pid_namespace, {name.quoted()},
                   [&] { (void)segment::open_or_create(name); });
      expect_error(errc::wrong_pid_namespace, {"file descriptor"},
                   [&] { (void)segment::from_fd(seg.fd()); });
    });
  }).expect_exit();
}

TEST(segment_users, a_mapping_inherited_into_another_pid_namespace_is_refused_at_the_first_lock) {
  if (const auto why = pid_namespace_unavailable()) GTEST_SKIP() << *why;
  const test_name name;
  segment seg = segment::create(name);
  auto& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  mutex.lock();
  mutex.unlock();
  child("inside", [&](agent& parent) {
    run_in_pid_namespace(parent, [&] {
      expect_error(errc::wrong_pid_namespace,
                   {name.quoted(), "found PID namespace ", "expected this process's "},
                   [&] { mutex.lock(); });
      std::error_code error;
      EXPECT_FALSE(mutex.try_lock(error));
      EXPECT_EQ(error, errc::wrong_pid_namespace);
      EXPECT_THROW(seg.find_or_construct<int>("number", 1), std::system_error);
    });
  }).expect_exit();
  mutex.lock();
  mutex.unlock();
}

TEST(segment_users, a_segment_made_inside_of_a_pid_namespace_is_refused_outside) {
  if (const auto why = pid_namespace_unavailable()) GTEST_SKIP() << *why;
  const test_name name;
  child("inside", [&](agent& parent) {
    run_in_pid_namespace(parent, [&] {
      segment seg = segment::create(name);
      ++*seg.find_or_construct<guarded<int>>("count", "count", 1).lock();  // within it, it works
    });
  }).expect_exit();
  expect_error(errc::wrong_pid_namespace, {name.quoted()}, [&] { (void)segment::open(name); });
}

}  // namespace
}  // namespace outlive::testing
