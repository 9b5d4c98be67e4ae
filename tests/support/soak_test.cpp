#include "support/soak.hpp"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <set>

namespace outlive::testing {
namespace {

TEST(soak_test, workers_are_killed_and_replaced_and_the_last_ones_leave_in_peace) {
  shared_counter starts;
  shared_counter goodbyes;
  std::uint64_t notices = 0;
  const auto result = soak({
      .workers = 3,
      .work =
          [&](const soak_worker& self) {
            starts.add();
            while (!self.stopping())
              self.stop.wait([](std::uint32_t stop) { return stop != 0; }, milliseconds(100));
            goodbyes.add();
          },
      .duration = default_timeout(),
      .max_kills = 20,
      .after_kill = [&](unsigned index, pid_t pid) { notices += index < 3 && kill(pid, 0) != 0; },
  });
  EXPECT_EQ(result.kills, 20u);
  EXPECT_EQ(notices, 20u);
  // A worker may be killed before its first instruction; the last three have all arrived.
  EXPECT_LE(starts.load(), 23u);
  EXPECT_EQ(goodbyes.load(), 3u);
}

TEST(soak_test, aimed_kills_hit_the_moment) {
  struct flags {
    std::array<std::atomic<int>, 2> inside{};
  };
  shared_object<flags> shared;
  std::uint64_t hits = 0;
  const auto result = soak({
      .workers = 2,
      .work =
          [&](const soak_worker& self) {
            while (!self.stopping()) {
              shared->inside[self.index].store(1);
              for (int i = 0; i < 20'000 && !self.stopping(); ++i) asm volatile("" ::: "memory");
              shared->inside[self.index].store(0);
            }
          },
      .duration = default_timeout(),
      .max_kills = 30,
      .aim = [&](unsigned index) { return shared->inside[index].load() == 1; },
      .aimed_share = 1.0,
      .aim_limit = milliseconds(2000),
      .after_kill =
          [&](unsigned index, pid_t) {
            hits += shared->inside[index].load() == 1;
            shared->inside[index].store(0);
          },
      .seed = 7,
  });
  EXPECT_EQ(result.seed, 7u);
  EXPECT_EQ(result.kills, 30u);
  EXPECT_EQ(result.aimed + result.missed, 30u);
  EXPECT_GT(result.aimed, 20u);
  // A SIGKILL takes a moment to land: the section may be over by then, though not mostly.
  EXPECT_GT(hits, 10u);
}

TEST(soak_test, each_life_has_a_seed_of_its_own_that_the_first_seed_fixes) {
  // The first two lives of one worker, reported through shared memory.
  const auto first_two = [](std::uint64_t seed) {
    shared_object<std::array<std::uint64_t, 2>> seeds;
    shared_counter lives;
    soak({
        .workers = 1,
        .work =
            [&](const soak_worker& self) {
              if (self.life < 2) (*seeds)[self.life] = self.seed;
              lives.add();
              self.stop.wait([](std::uint32_t stop) { return stop != 0; });
            },
        .duration = default_timeout(),
        .max_kills = 1,
        .aim = [&](unsigned) { return lives.load() > 0; },
        .aimed_share = 1.0,
        .aim_limit = default_timeout(),
        .seed = seed,
    });
    return *seeds;
  };
  const auto once = first_two(42);
  EXPECT_NE(once[0], once[1]);
  EXPECT_EQ(first_two(42), once);
  EXPECT_NE(first_two(43), once);
}

TEST(soak_test, a_worker_that_ends_by_itself_fails_the_soak) {
  // The first life is killed; the second one is left alone until it has ended.
  static unsigned kills;
  kills = 0;
  EXPECT_NONFATAL_FAILURE(soak({
                              .workers = 1,
                              .work =
                                  [](const soak_worker& self) {
                                    if (self.life == 1) _exit(9);
                                    self.stop.wait([](std::uint32_t stop) { return stop != 0; });
                                  },
                              .duration = default_timeout(),
                              .aim = [](unsigned) { return kills == 0; },
                              .aimed_share = 1.0,
                              .aim_limit = default_timeout(),
                              .after_kill = [](unsigned, pid_t) { ++kills; },
                          }),
                          "worker 0 ended by itself: exit 9");
  EXPECT_EQ(kills, 1U);
}

TEST(soak_test, a_soak_without_a_kill_fails) {
  EXPECT_NONFATAL_FAILURE(
      soak({.workers = 1, .work = [](const soak_worker&) {}, .duration = milliseconds(0)}),
      "killed nobody");
}

}  // namespace
}  // namespace outlive::testing
