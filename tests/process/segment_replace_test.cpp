// Where a segment's name leads: to it, to none, or to another that was put in its place.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>
#include <outlive/supervisor.hpp>

#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "format/hash.hpp"
#include "mapping/segment_name.hpp"
#include "sys/creation_lock.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

std::string second_path(const std::string& name) {
  return "/dev/shm/.outlive-next." + name;
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

TEST(segment_name, a_segment_has_its_name_until_that_is_taken_away_or_leads_elsewhere) {
  const test_name name;
  const segment old = segment::create(name, few_of_everything());
  const segment_view view(old);
  EXPECT_TRUE(old.has_name());
  EXPECT_TRUE(view.has_name());
  ASSERT_TRUE(segment::unlink(name));
  EXPECT_FALSE(old.has_name());
  EXPECT_FALSE(view.has_name());
  const segment fresh = segment::create(name, few_of_everything());
  EXPECT_TRUE(fresh.has_name());
  EXPECT_FALSE(old.has_name());
  EXPECT_FALSE(view.has_name());
}

TEST(segment_name, a_file_that_is_linked_elsewhere_has_lost_its_name) {
  const test_name name;
  const test_name other;
  const segment made = segment::create(name, few_of_everything());
  ASSERT_EQ(::rename(name.path().c_str(), other.path().c_str()), 0);
  EXPECT_FALSE(made.has_name());
}

TEST(segment_name, an_anonymous_segment_has_none) {
  EXPECT_FALSE(segment::anonymous(few_of_everything()).has_name());
}

TEST(segment_name, a_supervisor_tells_once_that_it_is_lost) {
  for (const bool replaced : {false, true}) {
    const test_name name;
    segment seg = segment::create(name, few_of_everything());
    supervisor watch(seg);
    std::vector<lost_name> told;
    watch.on_name_lost([&](const lost_name& lost) { told.push_back(lost); });
    watch.dispatch();
    EXPECT_TRUE(told.empty());
    if (replaced)
      (void)segment::replace(name, few_of_everything());
    else
      segment::unlink(name);
    const deadline end(default_timeout());
    while (told.empty() && !end.passed()) {
      pollfd ready{watch.fd(), POLLIN, 0};
      ::poll(&ready, 1, 100);
      watch.dispatch();
    }
    // It looks again where the file has changed.
    ASSERT_EQ(::fchmod(seg.fd(), 0600), 0);
    pollfd ready{watch.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, static_cast<int>(default_timeout().count())), 1);
    watch.dispatch();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].name, std::string(name));
    EXPECT_EQ(told[0].replaced, replaced);
    EXPECT_NE(to_string(told[0]).find(replaced ? "leads to another segment" : "was taken away"),
              std::string::npos)
        << to_string(told[0]);
  }
}

TEST(segment_replace, the_name_leads_to_the_new_one_and_users_of_the_old_one_go_on) {
  const test_name name;
  segment old = segment::create(name, few_of_everything());
  int& answer = old.find_or_construct<int>("answer", 42);
  const segment fresh = segment::replace(
      name, few_of_everything(), [](segment& made) { made.find_or_construct<int>("answer", 43); });
  EXPECT_NE(fresh.base(), old.base());
  EXPECT_TRUE(fresh.has_name());
  EXPECT_FALSE(old.has_name());
  EXPECT_EQ(*segment::open(name).find<int>("answer"), 43);
  EXPECT_EQ(answer, 42);
  EXPECT_FALSE(exists(second_path(name)));
}

TEST(segment_replace, without_an_old_one_it_makes_one) {
  const test_name name;
  const segment made = segment::replace(name, few_of_everything());
  EXPECT_EQ(segment::open(name).base(), made.base());
}

TEST(segment_replace, what_open_refuses_is_replaced) {
  const test_name name;
  { std::ofstream(name.path()) << "no segment"; }
  expect_error(errc::damaged, {name.quoted()}, [&] { (void)segment::open(name); });
  EXPECT_TRUE(segment::replace(name, few_of_everything()).has_name());
  EXPECT_NO_THROW((void)segment::open(name));
}

// It goes: who may write it does not matter any more.
TEST(segment_replace, what_more_may_write_is_replaced) {
  const test_name name;
  const segment old = segment::create(name, few_of_everything());
  ASSERT_EQ(::chmod(name.path().c_str(), 0666), 0);
  expect_error(errc::writable_by_others, {name.quoted()}, [&] { (void)segment::open(name); });
  EXPECT_TRUE(segment::replace(name, few_of_everything()).has_name());
  EXPECT_NO_THROW((void)segment::open(name));
}

TEST(segment_replace, what_fill_throws_leaves_the_old_one_in_its_place) {
  const test_name name;
  const segment old = segment::create(name, few_of_everything());
  EXPECT_THROW((void)segment::replace(name, few_of_everything(),
                                      [](segment&) { throw std::runtime_error("no"); }),
               std::runtime_error);
  EXPECT_TRUE(old.has_name());
  EXPECT_FALSE(exists(second_path(name)));
}

TEST(segment_replace, what_is_no_regular_file_or_another_users_stays) {
  const test_name name;
  ASSERT_EQ(::mkfifo(name.path().c_str(), 0600), 0);
  expect_error(errc::damaged, {name.quoted(), "found a FIFO"},
               [&] { (void)segment::replace(name, few_of_everything()); });
  ASSERT_EQ(::unlink(name.path().c_str()), 0);
  const segment old = segment::create(name, few_of_everything());
  if (::geteuid() == 0) {  // only root can give a file away
    ASSERT_EQ(::chown(name.path().c_str(), 65'534, 65'534), 0);
    expect_error(errc::wrong_owner, {name.quoted()},
                 [&] { (void)segment::replace(name, few_of_everything()); });
  }
  EXPECT_TRUE(old.has_name());
}

TEST(segment_replace, of_a_segment_that_lost_its_name_gives_the_new_one) {
  const test_name name;
  const segment old = segment::create(name, few_of_everything());
  const segment first = segment::replace(old, few_of_everything());
  const segment second =
      segment::replace(old, few_of_everything(), [](segment&) { ADD_FAILURE() << "filled again"; });
  EXPECT_EQ(first.base(), second.base());
  EXPECT_TRUE(first.has_name());
  expect_error(errc::invalid_name, {},
               [&] { (void)segment::replace(segment::anonymous(few_of_everything())); });
}

TEST(segment_replace, of_several_that_replace_one_segment_one_does) {
  constexpr std::size_t processes = 8;
  const test_name name;
  segment_options options = few_of_everything();
  options.participants = processes + 1;
  const segment old = segment::create(name, options);
  shared_value<int> go;
  shared_counter filled;
  std::array<shared_counter, processes> inodes;
  std::vector<std::unique_ptr<child>> all;
  for (std::size_t i = 0; i < processes; ++i) {
    all.push_back(std::make_unique<child>("replacer " + std::to_string(i), [&, i](agent&) {
      if (!go.wait_at_least(1)) throw timed_out("the start");
      const segment mine = segment::replace(old, options, [&](segment&) { filled.add(); });
      struct stat info {};
      ASSERT_EQ(::fstat(mine.fd(), &info), 0);
      inodes[i].add(info.st_ino);
    }));
  }
  go.store(1);
  for (auto& each : all) each->expect_exit();
  EXPECT_EQ(filled.load(), 1U);
  for (const auto& each : inodes) EXPECT_EQ(each.load(), inodes[0].load());
}

TEST(segment_replace, a_second_name_that_a_death_left_goes_with_the_next_use_of_the_name) {
  const test_name name;
  const auto leave = [&] { std::ofstream(second_path(name)) << "left"; };
  const auto expect_gone = [&] { EXPECT_FALSE(exists(second_path(name))); };
  leave();
  (void)segment::create(name, few_of_everything());
  expect_gone();
  leave();
  (void)segment::open(name);
  expect_gone();
  leave();
  (void)segment::replace(name, few_of_everything());
  expect_gone();
  leave();
  {
    // Not while somebody is about to use it.
    detail::creation_lock turn(detail::segment_folder, detail::hash_text(std::string(name)));
    ASSERT_TRUE(turn.try_acquire());
    (void)segment::open(name);
    EXPECT_TRUE(exists(second_path(name)));
  }
  segment::unlink(name);
  expect_gone();
}

TEST(segment_replace, a_child_that_the_filling_forks_has_no_part_in_it) {
  const test_name name;
  const segment old = segment::create(name, few_of_everything());
  pid_t forked = -1;
  try {
    (void)segment::replace(name, few_of_everything(), [&](segment&) {
      forked = ::fork();
      if (forked == 0) return;
      int status = -1;
      EXPECT_EQ(::waitpid(forked, &status, 0), forked);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
      EXPECT_TRUE(old.has_name()) << "the child has put the segment in place";
      EXPECT_FALSE(
          detail::creation_lock(detail::segment_folder, detail::hash_text(std::string(name)))
              .try_acquire());
    });
    if (forked == 0) ::_exit(2);
  } catch (const std::system_error& error) {
    if (forked == 0) ::_exit(error.code() == errc::in_use ? 0 : 1);
    throw;
  }
  EXPECT_FALSE(old.has_name());
}

}  // namespace
}  // namespace outlive::testing
