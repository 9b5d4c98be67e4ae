// Several processes make a segment of one name at the same time: one makes it, the others wait for
// it and need no room of their own.
#include <outlive/segment.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "format/hash.hpp"
#include "mapping/segment_name.hpp"
#include "scenes/cancellation.hpp"
#include "support/namespaces.hpp"
#include "sys/creation_lock.hpp"
#include "sys/shared_memory.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

using detail::creation_lock;
using detail::hash_text;
using detail::segment_folder;

constexpr int processes = 8;
constexpr std::size_t large = std::size_t{8} << 20;
constexpr char room_for_one[] = "size=12m";

segment_options large_one() {
  segment_options options = few_of_everything();
  options.size = large;
  options.participants = processes + 1;
  return options;
}

// Each case is a process of its own, so that it may change its mounts.
#define REQUIRE_SHM(mount_options) \
  if (const auto why = mount_own_shm(mount_options)) GTEST_SKIP() << *why

/// Waits until the process naps, as one that waits for its turn does.
void await_nap(const child& process) {
  const deadline end(default_timeout());
  while (!end.passed() && !process.ended()) {
    long call = -1;
    std::ifstream("/proc/" + std::to_string(process.pid()) + "/syscall") >> call;
    if (call == SYS_clock_nanosleep) return;
    sched_yield();
  }
  ADD_FAILURE() << process.name() << " does not wait";
}

TEST(segment_creators, several_at_once_need_room_for_one) {
  REQUIRE_SHM(room_for_one);
  constexpr int rounds = 10;
  std::vector<std::unique_ptr<test_name>> names;
  for (int i = 0; i <= rounds; ++i) names.push_back(std::make_unique<test_name>());
  shared_value<int> started;
  shared_value<int> finished;
  std::vector<std::unique_ptr<child>> all;
  for (int i = 0; i < processes; ++i) {
    all.push_back(std::make_unique<child>("creator " + std::to_string(i), [&](agent&) {
      for (int round = 1; round <= rounds; ++round) {
        if (!started.wait_at_least(round)) throw timed_out("the start of a round");
        EXPECT_EQ(segment::open_or_create(*names[static_cast<std::size_t>(round)], large_one())
                      .options()
                      .size,
                  large);
        finished.add();
      }
    }));
  }
  for (int round = 1; round <= rounds; ++round) {
    started.store(round);
    ASSERT_TRUE(finished.wait_at_least(round * processes)) << "round " << round;
    EXPECT_TRUE(segment::unlink(*names[static_cast<std::size_t>(round)]));
  }
  for (auto& each : all) each->expect_exit();
}

TEST(segment_creators, who_waits_for_a_creator_makes_the_segment_when_that_is_killed) {
  REQUIRE_SHM(room_for_one);
  const test_name name;
  child creator("creator", [&](agent& parent) {
    creation_lock turn(segment_folder, hash_text(std::string(name)));
    ASSERT_TRUE(turn.try_acquire());
    const auto file = detail::shared_memory::create_unnamed(segment_folder, large, 0600);
    parent.tell("half way");
    parent.pause_forever();
  });
  creator.wait_for("half way");
  child waiter("waiter", [&](agent& parent) {
    const segment made = segment::open_or_create(name, large_one());
    parent.tell("made");
    EXPECT_TRUE(made.has_name());
  });
  await_nap(waiter);
  creator.kill();
  creator.expect_killed();
  waiter.wait_for("made");
  waiter.expect_exit();
  EXPECT_EQ(segment::open(name).options().size, large);
}

TEST(segment_creators, who_replaces_a_segment_waits_for_its_turn) {
  const test_name name;
  const segment old = segment::create(name, few_of_everything());
  creation_lock turn(segment_folder, hash_text(std::string(name)));
  ASSERT_TRUE(turn.try_acquire());
  child replacer("replacer", [&](agent&) {
    EXPECT_TRUE(segment::replace(old, few_of_everything()).has_name());
  });
  await_nap(replacer);
  EXPECT_TRUE(old.has_name());
  replacer.kill();
  replacer.expect_killed();
}

TEST(segment_creators, create_of_a_name_that_is_taken_needs_no_room) {
  REQUIRE_SHM(room_for_one);
  const test_name name;
  const segment made = segment::create(name, large_one());
  expect_error(errc::already_exists, {name.quoted()},
               [&] { (void)segment::create(name, large_one()); });
}

TEST(segment_creators, a_turn_is_one_names_and_goes_to_one) {
  creation_lock mine(segment_folder, hash_text("one"));
  creation_lock other(segment_folder, hash_text("one"));
  creation_lock elsewhere(segment_folder, hash_text("another"));
  EXPECT_TRUE(mine.try_acquire());
  EXPECT_FALSE(other.try_acquire());
  EXPECT_TRUE(elsewhere.try_acquire());
}

// It opens the folder, and open() is a cancellation point.
void* takes_a_turn_once_cancelled(void*) {
  ::pthread_cancel(::pthread_self());
  {
    creation_lock turn(segment_folder, hash_text("one"));
    EXPECT_TRUE(turn.try_acquire());
  }
  end_if_cancelled();
  ADD_FAILURE() << "not cancelled";
  return nullptr;
}

TEST(segment_creators, a_cancellation_does_not_end_the_making_of_a_turn) {
  pthread_t thread;
  ASSERT_EQ(::pthread_create(&thread, nullptr, takes_a_turn_once_cancelled, nullptr), 0);
  void* result = nullptr;
  ASSERT_EQ(::pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
}

// By a program that becomes a daemon, say. The number may be one of its own files by then.
TEST(segment_creators, a_descriptor_that_somebody_else_has_closed_is_left_alone) {
  const test_name name;
  const segment made = segment::create(name);
  const int next = ::fcntl(made.fd(), F_DUPFD_CLOEXEC, 3);
  ASSERT_EQ(::close(next), 0);
  creation_lock turn(segment_folder, hash_text("one"));
  ASSERT_EQ(::close(next), 0) << "it is expected to take the lowest number";
  const int own = ::open(name.path().c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(own, next);
  ASSERT_EQ(::flock(own, LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(turn.try_acquire()) << "nobody waits for a turn that cannot be had";
  EXPECT_FALSE(turn.is_held());
  const int other = ::open(name.path().c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_NE(::flock(other, LOCK_EX | LOCK_NB), 0) << "the program's lock of its own file is gone";
  ::close(other);
  ::close(own);
}

TEST(segment_creators, a_second_name_stays_where_no_descriptor_is_left_to_take_the_turn) {
  const test_name name;
  const std::string second = "/dev/shm/.outlive-next." + std::string(name);
  creation_lock replacer(segment_folder, hash_text(std::string(name)));
  ASSERT_TRUE(replacer.try_acquire());
  ASSERT_TRUE(std::ofstream(second).is_open());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_FALSE(segment::unlink(name));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(detail::shared_memory::unlink(second));
}

TEST(segment_creators, a_forked_child_does_not_keep_the_turn_of_a_parent_that_is_killed) {
  shared_value<pid_t> grandchild;
  child parent("parent", [&](agent& above) {
    creation_lock turn(segment_folder, hash_text("one"));
    ASSERT_TRUE(turn.try_acquire());
    if (::fork() == 0) {
      // from here on its fork handlers have run
      grandchild.store(::getpid());
      for (;;) ::pause();
    }
    above.pause_forever();
  });
  ASSERT_TRUE(grandchild.wait([](pid_t pid) { return pid != 0; }));
  EXPECT_FALSE(creation_lock(segment_folder, hash_text("one")).try_acquire())
      << "the fork let go of the parent's turn";
  parent.kill();
  parent.expect_killed();
  EXPECT_TRUE(creation_lock(segment_folder, hash_text("one")).try_acquire());
  ASSERT_EQ(::kill(grandchild.load(), SIGKILL), 0);
}

TEST(segment_creators, a_forked_child_does_not_keep_the_turn) {
  auto turn = std::make_unique<creation_lock>(segment_folder, hash_text("one"));
  ASSERT_TRUE(turn->try_acquire());
  child other("other", [](agent& parent) {
    parent.tell("there");
    parent.pause_forever();
  });
  other.wait_for("there");
  turn.reset();
  EXPECT_TRUE(creation_lock(segment_folder, hash_text("one")).try_acquire());
}

}  // namespace
}  // namespace outlive::testing
