// Thread ids come again: in a raw fork's child, in another thread of the same number. What a former
// bearer left proves nothing about the present one.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include <outlive/outlive.hpp>

#include "format/layout.hpp"
#include "records/entrants.hpp"
#include "segment/segment_access.hpp"
#include "support/bounded.hpp"
#include "support/child.hpp"

namespace outlive::testing {
namespace {

struct former_bearer : ::testing::Test {
  segment seg = segment::anonymous();

  detail::segment_header& header() {
    return *static_cast<detail::segment_header*>(const_cast<void*>(seg.base()));
  }

  static void leave_in(detail::internal_lock& lock, std::uint32_t tid, std::uint64_t start_time) {
    std::memcpy(&lock.native, &tid, sizeof tid);  // glibc's lock word comes first
    lock.owner_start_time = start_time;
    lock.owner_tid = tid;
  }
};

std::uint32_t my_tid() {
  return static_cast<std::uint32_t>(::syscall(SYS_gettid));
}

// A raw fork leaves libc the parent's thread id: pthread calls of the child would succeed on what
// its parent holds.
TEST_F(former_bearer, the_end_of_a_raw_forks_child_gives_nothing_of_its_parent_back) {
  auto& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  child parent("parent", [&](agent&) {
    std::thread([&] {
      mutex.lock();
      const std::uint32_t before = seg.threads_in_use();
      const auto pid = static_cast<pid_t>(::syscall(SYS_fork));
      if (pid == 0) pthread_exit(nullptr);
      int status = 0;
      ASSERT_EQ(::waitpid(pid, &status, 0), pid);
      EXPECT_EQ(seg.threads_in_use(), before);
      std::error_code error;
      mutex.unlock(error);
      EXPECT_FALSE(error) << error.message();
      EXPECT_EQ(seg.threads_in_use(), before) << "the thread is attached until its end";
    }).join();
    EXPECT_EQ(seg.threads_in_use(), 0U);
  });
  parent.expect_exit(0);
}

TEST_F(former_bearer, an_internal_lock_with_this_threads_id_is_a_dead_ones) {
  seg.find_or_construct<int>("before", 1);
  leave_in(header().directory, my_tid(), 1);
  EXPECT_EQ(seg.find_or_construct<int>("after", 2), 2);
  leave_in(header().names, my_tid(), 1);
  EXPECT_EQ(seg.find_or_construct<long>("and with a new type", 3), 3);
}

TEST_F(former_bearer, the_adoption_lock_with_this_threads_id_is_a_dead_ones) {
  child gone("gone", [](agent&) {});
  const auto tid = static_cast<std::uint32_t>(gone.pid());
  gone.expect_exit(0);
  leave_in(header().adoption, my_tid(), 1);
  leave_in(header().directory, tid, 1);
  EXPECT_EQ(seg.find_or_construct<int>("after", 2), 2);
}

// A living thread of a process that uses the segment bears the dead holder's id, and never comes to
// these locks.
TEST_F(former_bearer, an_internal_lock_with_a_living_participants_thread_id_is_adopted) {
  seg.find_or_construct<int>("before", 1);
  child bearer("bearer", [&](agent& parent) {
    note(seg, 1);
    seg.find_or_construct<int>("bearer is a participant", 1);
    parent.tell("here");
    parent.pause_forever();
  });
  bearer.wait_for("here");
  const auto tid = static_cast<std::uint32_t>(bearer.pid());
  for (detail::internal_lock* lock : {&header().directory, &header().names}) {
    leave_in(*lock, tid, 1);
    child next("next", [&](agent&) {
      seg.find_or_construct<int>(lock == &header().names ? "second" : "first", 1);
      seg.find_or_construct<robust_mutex>(lock == &header().names ? "second mutex" : "first mutex",
                                          lock == &header().names ? "second class" : "first class");
    });
    next.expect_exit(0);
  }
  // The adoption mutex, which is needed for the directory's.
  child gone("gone", [](agent&) {});
  const auto dead = static_cast<std::uint32_t>(gone.pid());
  gone.expect_exit(0);
  leave_in(header().adoption, tid, 1);
  leave_in(header().directory, dead, 1);
  child next("next", [&](agent&) { seg.find_or_construct<int>("third", 1); });
  next.expect_exit(0);
  EXPECT_FALSE(bearer.ended());
}

std::uint64_t entrant_word(pid_t tid, std::uint64_t start_time) {
  return start_time << 32 | static_cast<std::uint64_t>(detail::internal_kind::names) << 30 |
         static_cast<std::uint32_t>(tid);
}

TEST_F(former_bearer, places_of_dead_entrants_are_taken_over) {
  child gone("gone", [](agent&) {});
  const pid_t tid = gone.pid();
  gone.expect_exit(0);
  for (auto& each : header().entrants) each.store(entrant_word(tid, 1));
  detail::mapping& map = *detail::segment_access::mapping_of(seg);
  {
    const detail::entrant named(map, detail::internal_kind::names);
    EXPECT_TRUE(detail::entrants::may_be_inside(map, detail::internal_kind::names, my_tid()));
    EXPECT_FALSE(detail::entrants::may_be_inside(map, detail::internal_kind::directory, my_tid()));
    EXPECT_TRUE(detail::entrants::are_complete(map));
  }
  EXPECT_FALSE(detail::entrants::may_be_inside(map, detail::internal_kind::names, my_tid()));
}

TEST_F(former_bearer, more_entrants_than_places_are_counted) {
  for (auto& each : header().entrants) each.store(entrant_word(getpid(), 0));  // alive
  detail::mapping& map = *detail::segment_access::mapping_of(seg);
  {
    const detail::entrant named(map, detail::internal_kind::directory);
    EXPECT_FALSE(detail::entrants::are_complete(map)) << "the places prove nothing";
  }
  EXPECT_TRUE(detail::entrants::are_complete(map));
  EXPECT_EQ(seg.find_or_construct<int>("object", 1), 1);
}

// The holder stands between the native lock and the two stores that say who it is. Until then they
// are those of a former owner with the same id.
TEST_F(former_bearer, a_holder_that_has_not_yet_said_who_it_is_keeps_an_internal_lock) {
  seg.find_or_construct<int>("before", 1);
  child holder("holder", [&](agent& parent) {
    seg.find_or_construct<int>("holder is a participant", 1);
    detail::internal_lock& lock = header().directory;
    const detail::entrant named(*detail::segment_access::mapping_of(seg),
                                detail::internal_kind::directory);
    ASSERT_EQ(pthread_mutex_lock(&lock.native), 0);
    lock.owner_start_time = 1;
    lock.owner_tid = my_tid();
    parent.tell("inside");
    parent.pause_forever();
  });
  holder.wait_for("inside");
  shared_value<int> entered;
  child next("next", [&](agent&) {
    seg.find_or_construct<int>("next", 1);
    entered.store(1);
  });
  // Some slices of 250 ms: in each it judges the holder.
  EXPECT_FALSE(entered.wait([](int now) { return now != 0; }, std::chrono::milliseconds(800)))
      << "two are inside";
  holder.kill();
  holder.expect_killed();
  EXPECT_TRUE(entered.wait_equal(1));
  next.expect_exit(0);
}

}  // namespace
}  // namespace outlive::testing
