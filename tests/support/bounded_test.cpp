#include "support/bounded.hpp"

#include <gtest/gtest.h>

#include "support/child.hpp"
#include "support/leaks.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace outlive::testing {
namespace {

TEST(bounded_test, within_gives_up_and_does_not_give_up_early) {
  EXPECT_FALSE(within(milliseconds(5), [] { return false; }));
  int looks = 0;
  EXPECT_TRUE(within(default_timeout(), [&] { return ++looks == 80; }));
  EXPECT_EQ(looks, 80);
}

TEST(bounded_test, a_deadline_never_has_negative_time_left) {
  const deadline past(milliseconds(0));
  EXPECT_TRUE(past.passed());
  EXPECT_EQ(past.left().count(), 0);
  EXPECT_FALSE(deadline(std::chrono::hours(1)).passed());
}

TEST(bounded_test, a_change_in_a_child_wakes_the_waiting_parent) {
  shared_counter repairs;
  child worker("worker", [&](agent& parent) {
    parent.await("go");
    for (int i = 0; i < 3; ++i) repairs.add();
  });
  EXPECT_FALSE(repairs.wait_at_least(1, milliseconds(10)));
  worker.tell("go");
  EXPECT_TRUE(repairs.wait_equal(3));
  EXPECT_FALSE(repairs.wait_equal(4, milliseconds(10)));
  worker.expect_exit(0);
}

TEST(bounded_test, a_store_without_a_wake_is_found_all_the_same) {
  // As after a kill between a writer's store and its wake.
  shared_object<std::atomic<std::uint32_t>> word{0u};
  child writer("writer", [&](agent&) { word->store(1); });
  EXPECT_TRUE(within(default_timeout(), [&] {
    futex_wait(*word, 0, milliseconds(5));
    return word->load() == 1;
  }));
}

TEST(leaks_test, an_open_file_and_a_mapping_are_seen_and_an_anonymous_one_is_not) {
  const holdings before = holdings::of(getpid());
  const int fd = memfd_create("outlive.leaks_test", MFD_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(ftruncate(fd, 4096), 0);
  void* mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(mapped, MAP_FAILED);

  const holdings during = holdings::of(getpid());
  const std::string added = during.added_since(before);
  EXPECT_NE(added.find("fd " + std::to_string(fd) + " -> /memfd:outlive.leaks_test"),
            std::string::npos)
      << added;
  EXPECT_NE(added.find("1 more mapping(s) of /memfd:outlive.leaks_test"), std::string::npos)
      << added;
  EXPECT_EQ(during.open_files(), before.open_files() + 1);
  EXPECT_EQ(during.mappings_of("outlive.leaks_test"), 1u);
  EXPECT_GT(during.mappings(), 1u);

  munmap(mapped, 4096);
  close(fd);
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST(leaks_test, another_process_can_be_looked_at) {
  child other("other", [](agent& parent) {
    if (memfd_create("outlive.other", 0) < 0) parent.fail("memfd_create");
    parent.tell("open");
    parent.pause_forever();
  });
  const holdings mine = holdings::of(getpid());
  other.wait_for("open");
  EXPECT_NE(holdings::of(other.pid()).added_since(mine).find("/memfd:outlive.other"),
            std::string::npos);
  EXPECT_FALSE(is_dead(other.pid()));
  other.kill();
  other.wait();
  EXPECT_TRUE(is_dead(other.pid()));
  EXPECT_THROW(holdings::of(other.pid()), std::system_error);
}

}  // namespace
}  // namespace outlive::testing
