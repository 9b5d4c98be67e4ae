// Producers and workers are killed: no job is lost, none is acknowledged twice, and who died is
// told.
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include <outlive/outlive.hpp>

#include "format/job_state.hpp"
#include "format/layout.hpp"
#include "scenes/accounts.hpp"
#include "scenes/queue_states.hpp"
#include "support/child.hpp"

namespace outlive::testing {
namespace {

using queue = work_queue<long, 4>;

class work_queue_kill_test : public ::testing::Test {
 protected:
  void expect_counts(std::uint32_t waiting, std::uint32_t leased, std::uint32_t dead_letters) {
    EXPECT_EQ(queue_.waiting(), waiting);
    EXPECT_EQ(queue_.leased(), leased);
    EXPECT_EQ(queue_.dead_letters(), dead_letters);
  }
  /// A child that has `count` jobs.
  std::unique_ptr<child> worker(unsigned count = 1) {
    auto made = std::make_unique<child>("worker", [this, count](agent& parent) {
      std::vector<lease<long>> held;
      for (unsigned i = 0; i < count; ++i) held.push_back(queue_.pop());
      parent.tell("has them");
      parent.pause_forever();
    });
    made->wait_for("has them");
    return made;
  }
  /// A worker that dies with a job. Returns: its pid.
  pid_t dies_with_a_job() {
    auto dead = worker();
    dead->kill();
    dead->expect_killed();
    return dead->pid();
  }
  [[nodiscard]] detail::shared_u64& state(unsigned slot) { return state_of(queue_, slot); }

  segment seg_ = segment::anonymous(small_segment());
  queue& queue_ = seg_.find_or_construct<queue>("jobs");
};

TEST_F(work_queue_kill_test, jobs_of_the_dead_come_again_and_tell_who_died) {
  for (long i = 0; i < 3; ++i) queue_.push(i);
  auto dead = worker(2);
  auto lives = worker(1);
  expect_counts(0, 3, 0);
  EXPECT_FALSE(queue_.try_pop());
  dead->kill();
  dead->expect_killed();
  expect_counts(2, 1, 0);
  for (long i = 0; i < 2; ++i) {
    auto again = queue_.try_pop();
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, i);
    EXPECT_EQ(again.tries(), 2u);
    const auto died = again.died_on_it();
    ASSERT_EQ(died.size(), 1u);
    EXPECT_TRUE(died[0].known);
    EXPECT_EQ(died[0].pid, dead->pid());
    EXPECT_EQ(died[0].tid, dead->pid());
    EXPECT_NE(died[0].start_time, 0u);
    again.done();
  }
  expect_counts(0, 1, 0);
}

TEST_F(work_queue_kill_test, a_job_that_kills_every_worker_is_a_dead_letter_and_tells_of_all) {
  queue_.push(13);
  std::vector<pid_t> dead;
  for (int i = 0; i < 3; ++i) dead.push_back(dies_with_a_job());
  expect_counts(0, 0, 1);
  EXPECT_FALSE(queue_.try_pop());
  auto letter = queue_.pop_dead_letter();
  ASSERT_TRUE(letter);
  EXPECT_EQ(*letter, 13);
  EXPECT_EQ(letter.tries(), 3u);
  const auto died = letter.died_on_it();
  ASSERT_EQ(died.size(), 3u);
  for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(died[i].pid, dead[i]);
  letter.done();
  expect_counts(0, 0, 0);
}

TEST_F(work_queue_kill_test, who_failed_or_gave_a_job_back_did_not_die_on_it) {
  queue_.push(1);
  const pid_t first = dies_with_a_job();
  queue_.pop().give_back();
  queue_.pop().fail();
  dies_with_a_job();
  auto letter = queue_.pop_dead_letter();
  const auto died = letter.died_on_it();
  ASSERT_EQ(died.size(), 2u);
  EXPECT_EQ(died[0].pid, first);
}

// The slot's next job must not be told of those who died on the one before.
TEST_F(work_queue_kill_test, a_new_job_has_no_history) {
  auto& one = seg_.find_or_construct<work_queue<long, 1>>("one");
  const auto die = [&] {
    child dead("dead", [&](agent&) {
      new lease<long>(one.pop());
      _exit(0);
    });
    dead.expect_exit(0);
  };
  for (int round = 0; round < 3; ++round) {
    one.push(round);
    die();
    die();
    auto job = one.pop();
    EXPECT_EQ(job.died_on_it().size(), 2u);
    job.done();
    one.push(round);
    // Leased by a life that is over, which had not said who it was: nothing is known of it, and
    // nothing may be told from the job before.
    state_of(one, 0) = detail::job_state(detail::job_kind::leased, 1, {1, 0x7777777}).word();
    auto again = one.pop();
    ASSERT_EQ(again.died_on_it().size(), 1u);
    EXPECT_FALSE(again.died_on_it()[0].known);
    again.done();
  }
}

TEST_F(work_queue_kill_test, a_sleeping_worker_gets_the_job_of_the_dead) {
  queue_.push(1);
  auto dead = worker();
  child waiter("waiter", [this](agent& parent) {
    parent.tell("waits");
    auto mine = queue_.pop();
    EXPECT_EQ(mine.tries(), 2u);
    mine.done();
  });
  waiter.wait_for("waits");
  dead->kill();
  dead->expect_killed();
  waiter.expect_exit(0);
  expect_counts(0, 0, 0);
}

TEST_F(work_queue_kill_test, a_killed_sleeper_takes_nothing_with_it) {
  for (int i = 0; i < 20; ++i) {
    child consumer("consumer", [this](agent& parent) {
      parent.tell("waits");
      auto one = queue_.pop();
      ADD_FAILURE() << "it got one";
    });
    consumer.wait_for("waits");
    consumer.kill();
    consumer.expect_killed();
  }
  for (long i = 0; i < 4; ++i) queue_.push(i);
  for (int i = 0; i < 20; ++i) {
    child producer("producer", [this](agent& parent) {
      parent.tell("waits");
      queue_.push(9);
      ADD_FAILURE() << "it found room";
    });
    producer.wait_for("waits");
    producer.kill();
    producer.expect_killed();
  }
  for (long i = 0; i < 4; ++i) {
    auto one = queue_.try_pop();
    EXPECT_EQ(*one, i);
    one.done();
  }
  expect_counts(0, 0, 0);
}

TEST_F(work_queue_kill_test, a_slot_that_a_dead_producer_fills_is_free) {
  // As it would be between the producer's two exchanges; tests/step stops it there really.
  for (unsigned i = 0; i < 4; ++i)
    state(i) = detail::job_state(detail::job_kind::filling, 0, {1, 0x7777777}).word();
  for (long i = 0; i < 4; ++i) EXPECT_TRUE(queue_.try_push(i));
  EXPECT_FALSE(queue_.try_push(4));
  expect_counts(4, 0, 0);
}

TEST_F(work_queue_kill_test, a_producer_that_waits_gets_the_slot_of_a_dead_one) {
  for (long i = 0; i < 3; ++i) queue_.push(i);
  child other("other", [this](agent& parent) {
    queue_.push(3);
    auto last = queue_.pop();  // so that it has a record, which is named below
    parent.tell("has it");
    parent.pause_forever();
  });
  other.wait_for("has it");
  unsigned slot = 0;
  while (detail::job_state(state(slot)).kind() != detail::job_kind::leased) ++slot;
  state(slot) =
      detail::job_state(detail::job_kind::filling, 0, detail::job_state(state(slot)).holder())
          .word();
  child producer("producer", [this](agent& parent) {
    parent.tell("waits");
    queue_.push(4);
  });
  producer.wait_for("waits");
  EXPECT_FALSE(queue_.try_push(5));
  other.kill();
  other.expect_killed();
  producer.expect_exit(0);
  expect_counts(4, 0, 0);
}

TEST_F(work_queue_kill_test, a_dead_letter_in_a_dead_hand_is_a_dead_letter) {
  queue_.push(1);
  for (int i = 0; i < 3; ++i) queue_.pop().fail();
  child reader("reader", [this](agent& parent) {
    auto letter = queue_.pop_dead_letter();
    parent.tell(letter ? "has it" : "has none");
    parent.pause_forever();
  });
  reader.wait_for("has it");
  EXPECT_FALSE(queue_.pop_dead_letter());
  reader.kill();
  reader.expect_killed();
  expect_counts(0, 0, 1);
  EXPECT_TRUE(queue_.pop_dead_letter());
}

TEST_F(work_queue_kill_test, a_forked_child_has_none_of_its_parents_leases) {
  queue_.push(1);
  queue_.push(2);
  auto mine = queue_.pop();
  child forked("forked", [&](agent&) {
    EXPECT_THROW(mine.done(), std::system_error);
    EXPECT_THROW(mine.give_back(), std::system_error);
    EXPECT_THROW(mine.fail(), std::system_error);
    EXPECT_EQ(*queue_.pop(), 2);
    auto ends_here = std::move(mine);
  });
  forked.expect_exit(0);
  expect_counts(1, 1, 0);
  mine.done();
  expect_counts(1, 0, 0);
}

// The record of a dead worker is used again by a living thread: the old lease must not count as
// that thread's.
TEST_F(work_queue_kill_test, a_record_that_is_used_again_does_not_have_the_dead_ones_job) {
  auto& often =
      seg_.find_or_construct<work_queue<long, 2>>("often", work_queue_options{.max_tries = 8});
  for (unsigned i = 0; i < 2 * small_segment().threads; ++i) {
    if (often.waiting() == 0) {
      while (auto letter = often.pop_dead_letter()) letter.retry();
      if (often.waiting() == 0) often.push(1);
    }
    child dead("dead", [&](agent&) {
      new lease<long>(often.pop());
      _exit(0);
    });
    dead.expect_exit(0);
    EXPECT_EQ(often.leased(), 0u);
    EXPECT_EQ(often.waiting() + often.dead_letters(), 1u);
  }
}

TEST_F(work_queue_kill_test, workers_of_a_closed_queue_stay_for_the_jobs_of_those_who_die) {
  queue_.push(7);
  auto dies = worker();
  queue_.close();
  child other("other", [this](agent& parent) {
    parent.tell("waits");
    auto job = queue_.pop();
    parent.tell(job && *job == 7 && job.tries() == 2 ? "has it" : "ended");
    job.done();
    EXPECT_FALSE(queue_.pop());
  });
  other.wait_for("waits");
  dies->kill();
  dies->expect_killed();
  other.wait_for("has it");
  other.expect_exit();
  expect_counts(0, 0, 0);
}

}  // namespace
}  // namespace outlive::testing
