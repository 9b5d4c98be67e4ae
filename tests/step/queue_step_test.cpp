// Killed after every instruction of push, pop, done, give_back, fail and of taking over from the
// dead, and from leases that are over: no job is lost, none comes twice, no slot is lost.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <system_error>
#include <thread>
#include <vector>

#include "format/job_state.hpp"
#include "scenes/late_lease.hpp"
#include "scenes/queue_states.hpp"
#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

class queue_step : public ::testing::Test {
 protected:
  using queue = work_queue<long, 3>;
  struct found {
    unsigned tries = 0;
    std::vector<job_holder> died;
    std::vector<job_holder> expired;
    bool dead_letter = false;
  };

  /// The second of two jobs is there, and the first is gone for good once a death has left it so.
  /// `was_gone`: what the death before left. Returns: whether it is gone now.
  static bool is_first_gone(const std::map<long, found>& all, const kill_point& point,
                            bool& was_gone) {
    EXPECT_EQ(all.count(2), 1u);
    const bool gone = all.count(1) == 0;
    EXPECT_FALSE(was_gone && !gone && point.died) << "acknowledged, and back by a later death";
    was_gone = gone && point.died;
    EXPECT_TRUE(gone || point.died);
    return gone;
  }

  /// Empties the queue, and then fills it to the brim: all slots must be there.
  std::map<long, found> take_all() {
    for (unsigned i = 0; i < 3; ++i) {  // the times of all delayed jobs are over
      const detail::job_state state(state_of(queue_, i));
      if (state.kind() == detail::job_kind::delayed) time_of(queue_, i) = 1;
    }
    std::map<long, found> all;
    while (auto one = queue_.try_pop()) {
      EXPECT_TRUE(
          all.emplace(*one, found{one.tries(), one.died_on_it(), one.expired_on_it(), false})
              .second)
          << "job " << *one << " is there twice";
      one.done();
    }
    while (auto letter = queue_.pop_dead_letter()) {
      EXPECT_TRUE(all.emplace(*letter, found{letter.tries(), letter.died_on_it(),
                                             letter.expired_on_it(), true})
                      .second)
          << "job " << *letter << " is there twice";
      letter.done();
    }
    EXPECT_EQ(queue_.waiting() + queue_.leased() + queue_.dead_letters(), 0u);
    for (long i = 0; i < 3; ++i) EXPECT_TRUE(queue_.try_push(-1)) << "a slot is lost";
    EXPECT_FALSE(queue_.try_push(-1));
    while (auto one = queue_.try_pop()) one.done();
    return all;
  }
  /// An empty queue, the same for each victim: where the hints stand decides its way.
  void start_over() { std::memcpy(static_cast<void*>(&queue_), empty_.data(), empty_.size()); }
  /// Two jobs, 1 and 2, and hints that stand in the middle of the ring.
  void two_jobs() {
    start_over();
    for (int i = 0; i < 2; ++i) {
      queue_.push(0);
      queue_.pop().done();
    }
    queue_.push(1);
    queue_.push(2);
  }
  void leave_dead_worker(unsigned deaths) {
    for (unsigned i = 0; i < deaths; ++i) {
      child dead("dead", [this](agent&) {
        new lease<long>(queue_.pop());
        _exit(0);
      });
      dead.expect_exit(0);
    }
  }
  /// The victim's record is claimed before the section begins.
  void warm_up() {
    mutex_.lock();
    mutex_.unlock();
  }
  void run(const sweep_plan& plan, std::size_t least) {
    const auto result = sweep(plan);
    EXPECT_GT(result.deaths, least);
    // docs/protocol.md quotes these rows.
    std::printf("| %s | %zu | every instruction | %zu |\n", plan.name.c_str(), result.length,
                result.deaths);
  }
  /// A job that is not acknowledged is there after each kill. A survivor leaves it with so many
  /// tries, the next one included.
  void kill_while_returning(const std::string& name, void (*give)(lease<long>&),
                            unsigned next_try) {
    OUTLIVE_NEEDS_TRACING();
    sweep_plan plan;
    plan.name = name;
    plan.setup = [&] { two_jobs(); };
    plan.victim = [&](agent&) {
      warm_up();
      section_begin();
      auto one = queue_.pop();
      give(one);
      section_end();
    };
    plan.after = [&](const kill_point& point) {
      auto all = take_all();
      EXPECT_EQ(all.size(), 2u);
      EXPECT_EQ(all[2].tries, 1u);
      ASSERT_TRUE(all[1].tries == 1 || all[1].tries == 2);
      EXPECT_LE(all[1].died.size(), all[1].tries - 1);
      for (const job_holder& dead : all[1].died) EXPECT_TRUE(dead.known);
      if (!point.died) {
        EXPECT_EQ(all[1].tries, next_try);
        EXPECT_TRUE(all[1].died.empty());
      }
    };
    run(plan, 50);
  }

  explicit queue_step(const work_queue_options& options = {})
      : queue_(seg_.find_or_construct<queue>("jobs", options)) {}

  segment seg_ = segment::anonymous(world::small());
  queue& queue_;
  robust_mutex& mutex_ = seg_.find_or_construct<robust_mutex>("mutex", "plain");
  const std::vector<char> empty_{reinterpret_cast<const char*>(&queue_),
                                 reinterpret_cast<const char*>(&queue_ + 1)};
};

// Leases have a time limit. It is over for those that are extended by nothing, and for no other.
class limited_queue_step : public queue_step {
 protected:
  limited_queue_step() : queue_step({.lease_limit = 1h}) {}

  /// A job whose first lease is over. Its holder lives.
  void leave_expired_lease() {
    hung_ = {};
    start_over();
    queue_.push(1);
    queue_.push(2);
    hung_ = queue_.pop();
    hung_.extend(0ns);
  }
  /// The victim takes job 1 over from the expired lease, if it comes so far, and does `end`.
  void kill_while_taking_over(const std::string& name, void (*end)(lease<long>&)) {
    OUTLIVE_NEEDS_TRACING();
    sweep_plan plan;
    plan.name = name;
    plan.setup = [&] { leave_expired_lease(); };
    plan.victim = [&](agent&) {
      warm_up();
      auto second = queue_.pop();
      section_begin();
      auto again = queue_.pop();
      end(again);
      section_end();
      _exit(0);  // before `second` is given back
    };
    plan.after = [&](const kill_point& point) {
      const bool was_over = !is_refused_as_expired(hung_);
      auto all = take_all();
      ASSERT_EQ(all.count(2), 1u);
      if (was_over) return;  // nobody had got it: the late done() counted
      if (all.count(1) == 0) return;
      EXPECT_GE(all[1].tries, 2u);
      EXPECT_EQ(all[1].expired.size(), 1u) << "who let the first lease run out lives";
      EXPECT_TRUE(all[1].expired[0].known && all[1].expired[0].pid == getpid());
      EXPECT_LE(all[1].died.size(), 1u);
      for (const job_holder& dead : all[1].died) EXPECT_TRUE(dead.known && dead.pid != getpid());
      if (!point.died) {
        EXPECT_TRUE(all[1].died.empty());
      }
    };
    run(plan, 50);
  }

  lease<long> hung_;
};

}  // namespace

TEST_F(queue_step, killed_at_every_instruction_of_push) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "push";
  bool was_there = false;
  plan.setup = [&] { two_jobs(); };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    queue_.push(3);
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    const auto all = take_all();
    EXPECT_EQ(all.count(1) + all.count(2), 2u);
    EXPECT_FALSE(was_there && point.died && all.count(3) == 0)
        << "published, and lost by a later death";
    was_there = point.died && all.count(3) != 0;
    if (!point.died) {
      EXPECT_EQ(all.count(3), 1u);
    }
    for (const auto& [number, job] : all) EXPECT_EQ(job.tries, 1u) << number;
  };
  run(plan, 50);
}

TEST_F(queue_step, killed_at_every_instruction_of_pop_and_done) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "pop, done";
  bool was_gone = false;
  plan.setup = [&] { two_jobs(); };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    auto one = queue_.pop();
    one.done();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    auto all = take_all();
    if (is_first_gone(all, point, was_gone)) return;
    // Handed out again exactly if it had been handed out before; then by whom is known, wherever he
    // died.
    ASSERT_LE(all[1].tries, 2u);
    EXPECT_EQ(all[1].died.size(), all[1].tries - 1);
    for (const job_holder& dead : all[1].died)
      EXPECT_TRUE(dead.known && dead.pid > 0 && dead.pid == dead.tid && dead.start_time != 0);
  };
  run(plan, 50);
}

TEST_F(queue_step, killed_at_every_instruction_of_push_many_and_pop_many) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "push_many of two";
  std::size_t had = 0;
  plan.setup = [&] {
    start_over();
    queue_.push(1);
  };
  plan.victim = [&](agent&) {
    warm_up();
    const std::array<long, 2> two{2, 3};
    section_begin();
    if (queue_.push_many(two) != 2) _exit(3);
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    const auto all = take_all();
    EXPECT_EQ(all.count(1), 1u);
    EXPECT_TRUE(all.count(2) == 1 || all.count(3) == 0) << "the first jobs come first";
    if (point.died) {
      EXPECT_GE(all.size(), had) << "published, and lost by a later death";
      had = all.size();
    } else {
      EXPECT_EQ(all.size(), 3u);
    }
  };
  run(plan, 50);
  EXPECT_EQ(had, 3u);

  plan.name = "pop_many of two, done";
  plan.setup = [&] { two_jobs(); };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    for (auto& one : queue_.pop_many(2)) one.done();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    auto all = take_all();
    EXPECT_TRUE(all.count(1) == 0 || all.count(2) == 1) << "the first is done first";
    for (auto& [number, job] : all) EXPECT_EQ(job.died.size(), job.tries - 1) << number;
    if (!point.died) {
      EXPECT_TRUE(all.empty());
    }
  };
  run(plan, 50);
}

TEST_F(queue_step, killed_at_every_instruction_of_give_back) {
  kill_while_returning(
      "pop, give_back", [](lease<long>& one) { one.give_back(); }, 1);
}

TEST_F(queue_step, killed_at_every_instruction_of_give_back_for_a_later_time) {
  kill_while_returning(
      "pop, give_back for later", [](lease<long>& one) { one.give_back(1h); }, 1);
}

TEST_F(queue_step, killed_at_every_instruction_of_fail) {
  kill_while_returning(
      "pop, fail", [](lease<long>& one) { one.fail(); }, 2);
}

TEST_F(queue_step, killed_at_every_instruction_of_handing_over) {
  kill_while_returning(
      "pop, hand_over, its end", [](lease<long>& one) { static_cast<void>(one.hand_over()); }, 1);
}

// From a thread that has ended, so that the word changes; nobody has found out yet.
TEST_F(queue_step, killed_at_every_instruction_of_taking_what_was_handed_over) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "take, done";
  plan.setup = [&] { two_jobs(); };
  plan.victim = [&](agent&) {
    warm_up();
    handed_over<lease<long>> handed;
    std::thread([&] { handed = queue_.pop().hand_over(); }).join();
    section_begin();
    auto one = handed.take();
    one.done();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    auto all = take_all();
    EXPECT_EQ(all[2].tries, 1u);
    if (!point.died) {
      EXPECT_EQ(all.count(1), 0u);
    }
    if (all.count(1) == 0) return;
    EXPECT_EQ(all[1].tries, 2u) << "the same try, whoever died in it";
    ASSERT_EQ(all[1].died.size(), 1u);
    EXPECT_TRUE(all[1].died[0].known);
  };
  run(plan, 50);
}

TEST_F(queue_step, killed_at_every_instruction_of_taking_over_from_the_dead) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "pop of a dead worker's job, done";
  plan.setup = [&] {
    start_over();
    queue_.push(1);
    leave_dead_worker(1);
  };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    auto one = queue_.pop();
    one.done();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    auto all = take_all();
    EXPECT_LE(all.size(), 1u);
    if (!point.died) {
      EXPECT_TRUE(all.empty());
    }
    if (all.empty()) return;
    ASSERT_EQ(all.count(1), 1u);
    ASSERT_TRUE(all[1].tries == 2 || all[1].tries == 3) << all[1].tries;
    ASSERT_EQ(all[1].died.size(), all[1].tries - 1);
    for (const job_holder& dead : all[1].died) EXPECT_TRUE(dead.known);
  };
  run(plan, 50);
}

TEST_F(queue_step, killed_at_every_instruction_of_the_last_try) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "pop for the last time, fail";
  plan.setup = [&] {
    start_over();
    queue_.push(1);
    leave_dead_worker(2);
  };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    queue_.pop().fail();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    auto all = take_all();
    ASSERT_EQ(all.count(1), 1u);
    EXPECT_EQ(all[1].tries, 3u);
    if (!point.died) {
      EXPECT_TRUE(all[1].dead_letter);
      EXPECT_EQ(all[1].died.size(), 2u);
    }
    EXPECT_GE(all[1].died.size(), 2u);
  };
  run(plan, 50);
}

TEST_F(queue_step, killed_at_every_instruction_of_trying_a_dead_letter_again) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "pop_dead_letter, retry";
  plan.setup = [&] {
    start_over();
    queue_.push(1);
    leave_dead_worker(3);
  };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    queue_.pop_dead_letter().retry();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    auto all = take_all();
    ASSERT_EQ(all.count(1), 1u);
    if (!point.died) {
      EXPECT_FALSE(all[1].dead_letter);
    }
    EXPECT_EQ(all[1].tries, all[1].dead_letter ? 3u : 1u);
    EXPECT_TRUE(all[1].dead_letter || all[1].died.empty())
        << "a job that is tried again begins anew";
  };
  run(plan, 50);
}

// A push into a full queue, and a pop from an empty one, sleep; they are killed there, too.
TEST_F(queue_step, killed_at_every_instruction_of_waits_that_time_out) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "try_push_for, no slot is free";
  plan.setup = [&] {
    start_over();
    for (long i = 1; i <= 3; ++i) queue_.push(i);
  };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    if (queue_.try_push_for(4, 2ms)) _exit(3);
    section_end();
  };
  plan.after = [&](const kill_point&) { EXPECT_EQ(take_all().size(), 3u); };
  run(plan, 100);

  plan.name = "try_pop_for, no job is there";
  plan.setup = [&] { start_over(); };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    if (queue_.try_pop_for(2ms)) _exit(3);
    section_end();
  };
  plan.after = [&](const kill_point&) { EXPECT_EQ(take_all().size(), 0u); };
  run(plan, 100);
}

TEST_F(limited_queue_step, killed_at_every_instruction_of_pop_and_done) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "with a limit: pop, extend, done";
  bool was_gone = false;
  plan.setup = [&] { two_jobs(); };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    auto one = queue_.pop();
    one.extend();
    one.done();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    auto all = take_all();
    if (is_first_gone(all, point, was_gone)) return;
    ASSERT_LE(all[1].tries, 2u);
    EXPECT_EQ(all[1].died.size(), all[1].tries - 1) << "a death, whatever its time said";
    EXPECT_TRUE(all[1].expired.empty());
  };
  run(plan, 50);
}

TEST_F(limited_queue_step, killed_at_every_instruction_of_give_back) {
  kill_while_returning(
      "with a limit: pop, give_back", [](lease<long>& one) { one.give_back(); }, 1);
}

TEST_F(limited_queue_step, killed_at_every_instruction_of_fail) {
  kill_while_returning(
      "with a limit: pop, fail", [](lease<long>& one) { one.fail(); }, 2);
}

TEST_F(limited_queue_step, killed_at_every_instruction_of_handing_over) {
  kill_while_returning(
      "with a limit: pop, hand_over, take, give_back",
      [](lease<long>& one) { one.hand_over().take().give_back(); }, 1);
}

TEST_F(limited_queue_step, killed_at_every_instruction_of_taking_over_an_expired_lease) {
  kill_while_taking_over("pop of an expired lease's job, done",
                         [](lease<long>& one) { one.done(); });
}

TEST_F(limited_queue_step, killed_at_every_instruction_of_a_late_end) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "with a limit: the end of an expired lease";
  plan.setup = [&] { two_jobs(); };
  plan.victim = [&](agent&) {
    warm_up();
    auto late = queue_.pop();
    late.extend(0ns);
    std::thread([&] {
      queue_.pop().done();
      queue_.pop().done();
      queue_.push(3);
    }).join();
    section_begin();
    late = {};
    section_end();
  };
  plan.after = [&](const kill_point&) {
    auto all = take_all();
    EXPECT_EQ(all.size(), 1u);
    EXPECT_EQ(all.count(3), 1u) << "it touches no job";
    EXPECT_EQ(all[3].tries, 1u);
  };
  run(plan, 20);
}

TEST_F(limited_queue_step, killed_at_every_instruction_of_examining_an_expired_last_try) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan plan;
  plan.name = "pop_dead_letter of an expired lease's job, retry";
  bool was_marked = false;
  plan.setup = [&] {
    hung_ = {};
    start_over();
    queue_.push(1);
    for (int i = 0; i < 2; ++i) queue_.pop().fail();
    hung_ = queue_.pop();
    hung_.extend(0ns);
  };
  plan.victim = [&](agent&) {
    warm_up();
    section_begin();
    queue_.pop_dead_letter().retry();
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    if (!is_refused_as_expired(hung_)) {
      EXPECT_TRUE(point.died);
      EXPECT_TRUE(take_all().empty());
      return;
    }
    auto all = take_all();
    ASSERT_EQ(all.count(1), 1u);
    if (!point.died) {
      EXPECT_FALSE(all[1].dead_letter);
    }
    EXPECT_EQ(all[1].tries, all[1].dead_letter ? 3u : 1u);
    // A retry() that was cut short may leave nothing of the history.
    for (const job_holder& dead : all[1].died) EXPECT_FALSE(dead.known) << "nobody died on it";
    EXPECT_LE(all[1].expired.size(), all[1].dead_letter ? 1u : 0u);
    was_marked |= !all[1].expired.empty();
  };
  run(plan, 50);
  EXPECT_TRUE(was_marked);
}
