// The holder of a job, a slot or a permit is killed while others sleep for it: without a supervisor
// its death wakes nobody, with one it wakes them. Wake-ups are counted, by the words on which
// threads sleep, and the sleeper is stopped meanwhile: it cannot look by itself.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "format/job_state.hpp"
#include "format/layout.hpp"
#include "scenes/accounts.hpp"
#include "scenes/queue_states.hpp"
#include "scenes/watching.hpp"
#include "support/child.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {

/// What a program may have: no list of objects has the queue and the permits by themselves.
struct workshop {
  long opened = 0;
  work_queue<long, 4> jobs;
  permit_pool<4> tools{2};
};
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::workshop> = true;

namespace outlive::testing {
namespace {

class sleepers_kill_test : public ::testing::Test {
 protected:
  using word = detail::shared_u32;

  [[nodiscard]] detail::work_queue_bytes& jobs() const {
    return reinterpret_cast<detail::work_queue_bytes&>(shop_.jobs);
  }
  [[nodiscard]] detail::permit_pool_bytes& tools() const {
    return reinterpret_cast<detail::permit_pool_bytes&>(shop_.tools);
  }
  static std::uint32_t wake_ups(const word& of) { return of.load() >> 1; }

  static void die_with(child& holder) {
    holder.kill();
    holder.expect_killed();
  }
  /// Kills the holder while the sleeper is stopped, lets `notice` see the death, and lets the
  /// sleeper go on. Returns: how often `notice` woke the sleepers at `at`.
  std::uint32_t wake_ups_at_a_death(child& holder, child& sleeper, const word& at,
                                    const std::function<void()>& notice) {
    EXPECT_TRUE(within(default_timeout(), [&] { return (at.load() & 1) != 0; }));
    sleeper.kill(SIGSTOP);
    EXPECT_TRUE(within(default_timeout(), [&] { return task_state(sleeper.pid()) == 'T'; }));
    const std::uint32_t before = wake_ups(at);
    holder.kill();
    notice();
    const std::uint32_t woken = wake_ups(at) - before;
    sleeper.kill(SIGCONT);
    sleeper.expect_exit(0);
    holder.expect_killed();
    return woken;
  }
  child::body takes_a_job(unsigned tries) {
    return [this, tries](agent&) {
      auto mine = shop_.jobs.pop();
      EXPECT_EQ(mine.tries(), tries);
      mine.done();
    };
  }
  child::body has_a_job() {
    return [this](agent& parent) {
      auto mine = shop_.jobs.pop();
      parent.tell("has it");
      parent.pause_forever();
    };
  }

  segment seg_ = segment::anonymous(small_segment());
  workshop& shop_ = seg_.find_or_construct<workshop>("shop");
};

TEST_F(sleepers_kill_test, a_supervisor_wakes_the_worker_that_sleeps_for_a_dead_ones_job) {
  shop_.jobs.push(1);
  child holder("holder", has_a_job());
  holder.wait_for("has it");
  watching watch(seg_);
  child sleeper("sleeper", takes_a_job(2));
  EXPECT_EQ(wake_ups_at_a_death(holder, sleeper, jobs().not_empty,
                                [&] { ASSERT_TRUE(watch.until_dead(holder.pid())); }),
            1u);
}

TEST_F(sleepers_kill_test, without_a_supervisor_the_sleeper_looks_by_itself) {
  shop_.jobs.push(1);
  child holder("holder", has_a_job());
  holder.wait_for("has it");
  child sleeper("sleeper", takes_a_job(2));
  EXPECT_EQ(wake_ups_at_a_death(holder, sleeper, jobs().not_empty,
                                [&] {
                                  EXPECT_TRUE(within(default_timeout(), [&] {
                                    return task_state(holder.pid()) == 'Z';
                                  }));
                                }),
            0u);
}

TEST_F(sleepers_kill_test, recover_wakes_the_worker_that_sleeps_for_a_dead_ones_job) {
  shop_.jobs.push(1);
  child holder("holder", has_a_job());
  holder.wait_for("has it");
  child sleeper("sleeper", takes_a_job(2));
  EXPECT_EQ(wake_ups_at_a_death(holder, sleeper, jobs().not_empty,
                                [&] {
                                  holder.expect_killed();
                                  recover(seg_);
                                }),
            1u);
}

TEST_F(sleepers_kill_test, a_sweep_wakes_the_worker_that_sleeps_for_a_dead_threads_job) {
  shop_.jobs.push(1);
  child holder("holder", [this](agent& parent) {
    shared_value<pid_t> ended;
    std::thread worker([&] {
      auto* const mine = new lease<long>(shop_.jobs.pop());
      ended.store(gettid());
      parent.await("die");
      static_cast<void>(mine);
      syscall(SYS_exit, 0);
    });
    ended.wait([](pid_t tid) { return tid != 0; });
    parent.tell("has it");
    worker.detach();
    parent.pause_forever();
  });
  holder.wait_for("has it");
  watching watch(seg_, sweeping_often());
  child sleeper("sleeper", takes_a_job(2));
  EXPECT_TRUE(within(default_timeout(), [&] { return (jobs().not_empty.load() & 1) != 0; }));
  sleeper.kill(SIGSTOP);
  EXPECT_TRUE(within(default_timeout(), [&] { return task_state(sleeper.pid()) == 'T'; }));
  const std::uint32_t before = wake_ups(jobs().not_empty);
  holder.tell("die");
  EXPECT_TRUE(watch.until([&] { return wake_ups(jobs().not_empty) != before; }));
  sleeper.kill(SIGCONT);
  sleeper.expect_exit(0);
  die_with(holder);
}

/// Its memory takes the kernel a while. A sweep in between leaves the report to the end of the
/// process, but not the wake-up. Each round shows that or nothing; without that none can show it.
TEST_F(sleepers_kill_test, a_sweep_wakes_the_worker_while_the_holders_process_is_ending) {
  supervisor_options options;
  options.sweep = milliseconds(1);
  bool shown = false;
  for (int round = 0; round < 40 && !shown; ++round) {
    shop_.jobs.push(1);
    child holder("holder", [this](agent& parent) {
      const std::vector<char> memory(std::size_t{64} << 20, 'x');
      auto mine = shop_.jobs.pop();
      parent.tell("has it");
      parent.pause_forever();
    });
    holder.wait_for("has it");
    watching watch(seg_, options);
    child sleeper("sleeper", takes_a_job(2));
    EXPECT_EQ(wake_ups_at_a_death(
                  holder, sleeper, jobs().not_empty,
                  [&] {
                    const std::uint32_t before = wake_ups(jobs().not_empty);
                    ASSERT_TRUE(watch.until([&] { return wake_ups(jobs().not_empty) != before; }));
                    shown = task_state(holder.pid()) != 'Z';
                    ASSERT_TRUE(watch.until_dead(holder.pid()));
                  }),
              1u);
    EXPECT_EQ(watch.deaths.size(), 1u);
  }
  EXPECT_TRUE(shown);
}

TEST_F(sleepers_kill_test, a_supervisor_wakes_the_thread_that_sleeps_for_a_dead_ones_permit) {
  child holder("holder", [this](agent& parent) {
    const permit one = shop_.tools.acquire();
    const permit other = shop_.tools.acquire();
    parent.tell("has them");
    parent.pause_forever();
  });
  holder.wait_for("has them");
  watching watch(seg_);
  child sleeper("sleeper", [this](agent&) { const permit mine = shop_.tools.acquire(); });
  EXPECT_EQ(wake_ups_at_a_death(holder, sleeper, tools().seq,
                                [&] { ASSERT_TRUE(watch.until_dead(holder.pid())); }),
            1u);
}

TEST_F(sleepers_kill_test, a_supervisor_wakes_the_producer_that_sleeps_for_a_dead_ones_slot) {
  for (long i = 0; i < 4; ++i) shop_.jobs.push(i);
  child holder("holder", has_a_job());
  holder.wait_for("has it");
  // As a producer is between its two exchanges; tests/step stops it there really.
  unsigned slot = 0;
  while (detail::job_state(state_of(shop_.jobs, slot)).kind() != detail::job_kind::leased) ++slot;
  state_of(shop_.jobs, slot) =
      detail::job_state(detail::job_kind::filling, 0,
                        detail::job_state(state_of(shop_.jobs, slot)).holder())
          .word();
  watching watch(seg_);
  child sleeper("sleeper", [this](agent&) { shop_.jobs.push(4); });
  EXPECT_EQ(wake_ups_at_a_death(holder, sleeper, jobs().not_full,
                                [&] { ASSERT_TRUE(watch.until_dead(holder.pid())); }),
            1u);
  EXPECT_EQ(shop_.jobs.waiting(), 4u);
}

// Four threads name the queue, and it is woken once.
TEST_F(sleepers_kill_test, a_death_wakes_the_sleepers_of_a_queue_once) {
  shop_.jobs.push(1);
  child holder("holder", has_a_job());
  holder.wait_for("has it");
  watching watch(seg_);
  std::vector<std::unique_ptr<child>> others;
  for (int i = 0; i < 4; ++i) {
    others.push_back(std::make_unique<child>("other", [this](agent& parent) {
      auto none = shop_.jobs.pop();
      EXPECT_FALSE(none);
      parent.tell("ends");
    }));
  }
  const auto all_sleep = [&] {
    for (const auto& other : others) {
      if (task_state(other->pid()) != 'S') return false;
    }
    return (jobs().not_empty.load() & 1) != 0;
  };
  EXPECT_TRUE(within(default_timeout(), all_sleep));
  for (const auto& other : others) other->kill(SIGSTOP);
  for (const auto& other : others)
    EXPECT_TRUE(within(default_timeout(), [&] { return task_state(other->pid()) == 'T'; }));
  const std::uint32_t before = wake_ups(jobs().not_empty);
  holder.kill();
  ASSERT_TRUE(watch.until_dead(holder.pid()));
  EXPECT_EQ(wake_ups(jobs().not_empty) - before, 1u);
  auto again = shop_.jobs.pop();
  EXPECT_EQ(again.tries(), 2u);
  again.done();
  shop_.jobs.close();
  for (const auto& other : others) other->kill(SIGCONT);
  for (const auto& other : others) other->wait_for("ends");
  for (const auto& other : others) other->expect_exit(0);
  holder.expect_killed();
}

}  // namespace
}  // namespace outlive::testing
