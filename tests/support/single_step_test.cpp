#include "support/single_step.hpp"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <span>
#include <vector>

#include "support/foreign_locks.hpp"

namespace outlive::testing {
namespace {

class single_step_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = tracing_unavailable()) GTEST_SKIP() << *why;
  }
};

/// A section of ten stores, written in assembly so that its length is known.
void ten_stores(volatile std::uint64_t* word) {
  section_begin();
  asm volatile(".rept 10\n\tincq (%0)\n\t.endr" : : "r"(word) : "memory");
  section_end();
}

TEST_F(single_step_test, a_victim_is_killed_after_each_instruction) {
  shared_counter word;
  shared_object<std::uint64_t> stores{0u};
  std::vector<std::uint64_t> seen;
  std::vector<bool> died;
  const auto result = sweep({
      .name = "ten stores",
      .setup = [&] { *stores = 0; },
      .victim = [&](agent&) { ten_stores(stores.get()); },
      .after =
          [&](const kill_point& point) {
            seen.push_back(*stores);
            died.push_back(point.died);
            EXPECT_EQ(point.index,
                      point.died ? seen.size() - 3 : *stores + (seen.size() > 2 ? 1 : 0));
          },
  });
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{10, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10}));
  EXPECT_TRUE(!died[0] && !died[1] && died[2] && died[12] && !died.back());
  EXPECT_EQ(result.length, 10u);
  EXPECT_EQ(result.deaths, 11u);
  EXPECT_TRUE(result.last_survived);
}

/// A loop: the same addresses again and again, so that a waypoint needs several hits.
void loop_of_stores(volatile std::uint64_t* word, int rounds) {
  section_begin();
  for (int i = 0; i < rounds; ++i) {
    *word = *word + 1;
    asm volatile(".rept 40\n\tnop\n\t.endr");
  }
  section_end();
}

TEST_F(single_step_test, breakpoints_reach_the_same_states_as_plain_steps) {
  shared_object<std::uint64_t> stores{0u};
  std::vector<std::uint64_t> states[2];
  std::vector<std::uintptr_t> places[2];
  sweep_result results[2];
  for (const bool accelerate : {false, true}) {
    results[accelerate] = sweep({
        .name = "loop",
        .setup = [&] { *stores = 0; },
        .victim = [&](agent&) { loop_of_stores(stores.get(), 8); },
        .after =
            [&, accelerate](const kill_point& point) {
              if (!point.died) return;
              states[accelerate].push_back(*stores);
              places[accelerate].push_back(point.pc);
            },
        .accelerate = accelerate,
    });
    EXPECT_TRUE(results[accelerate].last_survived);
  }
  EXPECT_GT(results[0].length, 8u * 42u);
  EXPECT_EQ(results[0].accelerated, 0u);
  EXPECT_EQ(results[1].diverged, 0u);
  EXPECT_GT(results[1].accelerated, results[1].length / 2);
  EXPECT_EQ(states[0], states[1]);
  EXPECT_EQ(places[0], places[1]);
}

TEST_F(single_step_test, a_victim_that_leaves_its_path_is_stepped_again) {
  shared_object<std::uint64_t> stores{0u};
  int runs = 0;
  const auto result = sweep({
      .name = "wanderer",
      // The recorded runs take the long path, all later ones a short one.
      .setup = [&] { *stores = runs++ < 2 ? 0 : 1000; },
      .victim = [&](agent&) { loop_of_stores(stores.get(), *stores == 0 ? 4 : 2); },
      .after = [](const kill_point&) {},
  });
  EXPECT_GT(result.diverged, 0u);
  EXPECT_GT(result.deaths, 2u * 42u);
  EXPECT_TRUE(result.last_survived);
}

/// One of two paths of the same length.
void two_ways(volatile std::uint64_t* word, bool other_way) {
  section_begin();
  if (other_way) {
    asm volatile(".rept 400\n\tclc\n\t.endr" : : : "cc");
  } else {
    asm volatile(".rept 400\n\tnop\n\t.endr");
  }
  asm volatile(".rept 10\n\tincq (%0)\n\t.endr" : : "r"(word) : "memory");
  section_end();
}

TEST_F(single_step_test, a_path_that_has_changed_for_good_is_recorded_again) {
  shared_object<std::uint64_t> stores{0u};
  std::size_t runs = 0;
  bool other_way = false;
  const auto result = sweep({
      .name = "another way",
      .setup =
          [&] {
            *stores = 0;
            other_way = ++runs > 40;
          },
      .victim = [&](agent&) { two_ways(stores.get(), other_way); },
      .after = [](const kill_point&) {},
  });
  EXPECT_EQ(result.recorded_again, 1u);
  EXPECT_GT(10 * result.accelerated, 9 * result.length) << result.describe();
  EXPECT_TRUE(result.last_survived);
}

/// A loop of `rounds` that stores nothing shared, then ten stores with much between them.
void stores_far_apart(volatile std::uint64_t* word, int rounds) {
  section_begin();
  for (int i = 0; i < rounds; ++i) asm volatile("");
  asm volatile(".rept 10\n\tincq (%0)\n\t.rept 50\n\tnop\n\t.endr\n\t.endr"
               :
               : "r"(word)
               : "memory");
  section_end();
}

TEST_F(single_step_test,
       with_watched_bytes_each_state_is_a_kill_point_and_a_loop_of_other_length_leads_not_astray) {
  shared_object<std::uint64_t> stores{0u};
  std::set<std::uint64_t> seen;
  int runs = 0;
  const auto result = sweep({
      .name = "far apart",
      .setup = [&] { *stores = 0; },
      .victim = [&](agent&) { stores_far_apart(stores.get(), 200 + runs % 7); },
      .after =
          [&](const kill_point& point) {
            ++runs;
            if (point.died) seen.insert(*stores);
          },
      .stride = 97,
      .watched = {std::as_bytes(std::span(stores.get(), 1))},
  });
  EXPECT_EQ(seen, (std::set<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(result.states, 10u);
  EXPECT_GT(result.accelerated, 10u) << result.describe();
  EXPECT_LT(result.deaths, 10u + 4 + result.length / 97) << result.describe();
  EXPECT_TRUE(result.last_survived);
}

TEST_F(single_step_test, a_state_is_new_when_only_the_robust_list_has_changed) {
  foreign_locks lock(1);
  shared_object<std::uint64_t> unchanged{0u};
  const auto result = sweep({
      .name = "list",
      .setup = [] {},
      .victim =
          [&](agent&) {
            section_begin();
            pthread_mutex_lock(&lock[0]);
            section_end();
            pthread_mutex_unlock(&lock[0]);
          },
      .after =
          [&](const kill_point& point) {
            if (point.died && pthread_mutex_lock(&lock[0]) == EOWNERDEAD)
              pthread_mutex_consistent(&lock[0]);
            if (point.died) pthread_mutex_unlock(&lock[0]);
          },
      .stride = 1000,
      .watched = {std::as_bytes(std::span(unchanged.get(), 1))},
  });
  // The pending entry, the list's head, the pending entry again.
  EXPECT_EQ(result.states, 3u) << result.describe();
}

TEST_F(single_step_test, others_can_work_while_a_victim_stands_at_each_point_and_lives) {
  shared_object<std::uint64_t> stores{0u};
  std::vector<std::uint64_t> seen;
  const auto result = sweep({
      .name = "interrupted",
      .setup = [&] { *stores = 0; },
      .victim = [&](agent&) { ten_stores(stores.get()); },
      .after = [&](const kill_point& point) { EXPECT_TRUE(!point.died && *stores >= 10); },
      .meanwhile =
          [&](const kill_point&) {
            seen.push_back(*stores);
            *stores += 100;
          },
  });
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(result.preempted, 11u);
  EXPECT_EQ(result.deaths, 0u);
}

TEST_F(single_step_test, first_last_and_stride_choose_the_points) {
  shared_object<std::uint64_t> stores{0u};
  std::set<std::size_t> killed;
  const auto result = sweep({
      .name = "some",
      .setup = [&] { *stores = 0; },
      .victim = [&](agent&) { ten_stores(stores.get()); },
      .after =
          [&](const kill_point& point) {
            if (point.died) killed.insert(point.index);
          },
      .first = 2,
      .last = 8,
      .stride = 3,
  });
  EXPECT_EQ(killed, (std::set<std::size_t>{2, 5, 8}));
  EXPECT_FALSE(result.last_survived);
}

TEST_F(single_step_test, no_native_lock_is_stuck_at_any_instruction_of_lock_and_unlock) {
  auto lock = std::make_unique<foreign_locks>(1);
  std::size_t notices = 0;
  std::size_t free_again = 0;
  const auto result = sweep({
      .name = "native pair",
      .setup = [&] { lock = std::make_unique<foreign_locks>(1); },
      .victim =
          [&](agent&) {
            pthread_mutex_t& mutex = (*lock)[0];
            section_begin();
            pthread_mutex_lock(&mutex);
            pthread_mutex_unlock(&mutex);
            section_end();
          },
      .after =
          [&](const kill_point&) {
            child heir("heir", [&](agent& parent) {
              timespec limit;
              clock_gettime(CLOCK_REALTIME, &limit);
              limit.tv_sec += 5;
              const int rc = pthread_mutex_timedlock(&(*lock)[0], &limit);
              parent.tell(rc == 0 ? "free" : rc == EOWNERDEAD ? "notice" : "stuck");
            });
            heir.expect_exit(0);
            try {
              heir.wait_for("notice", milliseconds(0));
              ++notices;
            } catch (const std::runtime_error&) {
              heir.wait_for("free", milliseconds(0));
              ++free_again;
            }
          },
  });
  EXPECT_GT(notices, 20u);
  EXPECT_GT(free_again, 20u);
  EXPECT_EQ(notices + free_again, result.deaths + 3) << result.describe();
  RecordProperty("sweep", result.describe());
}

TEST_F(single_step_test, a_victim_is_also_killed_asleep_and_wakes_when_unblocked) {
  shared_value<std::uint32_t> gate;
  shared_object<std::atomic<std::uint32_t>> word{0u};
  std::size_t asleep = 0;
  const auto result = sweep({
      .name = "sleeper",
      .setup = [&] { word->store(0); },
      .victim =
          [&](agent&) {
            section_begin();
            futex_wait(*word, 0, std::chrono::minutes(10));
            section_end();
          },
      .after = [&](const kill_point& point) { asleep += point.asleep; },
      .unblock =
          [&] {
            word->store(1);
            futex_wake_all(*word);
          },
  });
  EXPECT_EQ(asleep, 1u);
  EXPECT_EQ(result.asleep, 1u);
  EXPECT_TRUE(result.last_survived);
}

}  // namespace
}  // namespace outlive::testing
