// The promise of a work queue, under random kills: every job whose push returned is acknowledged
// exactly once, or is a dead letter.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "scenes/accounts.hpp"
#include "scenes/companion_soak.hpp"

namespace outlive::testing {
namespace {

struct job {
  std::uint32_t id;
  std::uint32_t complement;  // so that a torn copy is seen
};
constexpr unsigned producers = 3, most_jobs = 1u << 23, jobs_for_a_kill = 400;
constexpr milliseconds a_while(100);  // until a worker looks whether it shall stop

// What the processes of a run share beside the queue. A job goes through it in this order, so that
// whatever dies, each count says at most what is true.
struct ledger {
  std::atomic<std::uint32_t> next{0};
  std::array<std::atomic<std::uint8_t>, most_jobs> pushed{};  // its push returned
  // done() was about to be called for it: so often
  std::array<std::atomic<std::uint8_t>, most_jobs> begun{};
  std::array<std::atomic<std::uint8_t>, most_jobs> acknowledged{};
  std::atomic<std::uint32_t> torn{0};
  std::atomic<std::uint64_t> turns{0};
  std::atomic<std::uint64_t> handed{0};   // taken by another thread and acknowledged
  std::atomic<std::uint64_t> refused{0};  // done() and the like, after the lease's time
};

class work_queue_random_kill_test : public ::testing::Test {
 protected:
  using queue = work_queue<job, 32>;

  void produce(const soak_worker& me) {
    while (!me.stopping()) {
      const std::uint32_t id = ledger_->next.fetch_add(1);
      // Jobs must not run out before the last kill, however fast they are.
      while (!allowed_.wait([&](std::uint32_t jobs) { return jobs > id; }, a_while)) {
        if (me.stopping()) return;
      }
      while (!queue_.try_push_for({id, ~id}, a_while)) {
        if (me.stopping()) return;
      }
      ledger_->pushed[id] = 1;
      ledger_->turns.fetch_add(1);
    }
  }
  void work(const soak_worker& me) {
    unsigned turn = 0;
    while (!me.stopping()) {
      auto one = queue_.try_pop_for(a_while);
      if (!one) {
        // or they would take all slots in the end
        if (auto letter = queue_.pop_dead_letter()) letter.retry();
        continue;
      }
      if (one->complement != ~one->id) ledger_->torn.fetch_add(1);
      const std::uint32_t id = one->id;
      if (++turn % 7 == 0) {
        turn % 2 == 0 ? one.give_back() : one.fail();
      } else {
        ledger_->begun[id].fetch_add(1);
        one.done();
        ledger_->acknowledged[id].fetch_add(1);
      }
      ledger_->turns.fetch_add(1);
      if (turn % 50 == 0) {
        if (auto letter = queue_.pop_dead_letter(); letter && turn % 100 == 0) letter.retry();
      }
    }
  }
  // Every other job goes from this thread to one that has no record yet, the rest from such a
  // thread, which has ended, to this one.
  void hand_over(const soak_worker& me) {
    for (unsigned turn = 0; !me.stopping(); ++turn) {
      handed_over<lease<job>> handed;
      const auto give = [&] {
        if (auto one = queue_.try_pop_for(a_while)) handed = one.hand_over();
      };
      const auto finish = [&] {
        auto one = handed.take();
        if (!one) return;  // its giver had ended, and another process was first
        if (one->complement != ~one->id) ledger_->torn.fetch_add(1);
        const std::uint32_t id = one->id;
        ledger_->begun[id].fetch_add(1);
        one.done();
        ledger_->acknowledged[id].fetch_add(1);
        ledger_->handed.fetch_add(1);
        ledger_->turns.fetch_add(1);
      };
      if (turn % 2 == 0) {
        give();
        if (turn % 16 != 0) std::thread(finish).join();  // else it ends untaken
      } else {
        std::thread(give).join();
        finish();
      }
      handed = {};
      if (auto letter = queue_.pop_dead_letter()) letter.retry();
    }
  }
  // The time of many leases is over at once, while their workers go on: with done(), with
  // give_back(), after they have popped another job, perhaps their own, or not at all.
  void work_late(const soak_worker& me) {
    lease<job> old;
    for (unsigned turn = 0; !me.stopping(); ++turn) {
      auto one = queue_.try_pop_for(a_while);
      if (!one) {
        if (auto letter = queue_.pop_dead_letter()) letter.retry();
        continue;
      }
      const std::uint32_t id = one->id;
      try {
        if (turn % 3 != 0) one.extend(std::chrono::nanoseconds(0));
        if (turn % 6 == 1) std::this_thread::yield();
        if (turn % 7 == 2) {
          old = std::move(one);  // the end of the one before, whose time may be over
          continue;
        }
        if (one->complement != ~one->id || one->id != id) ledger_->torn.fetch_add(1);
        if (turn % 11 == 3) {
          one.give_back();
        } else if (turn % 11 == 5) {
          one = one.hand_over().take();
        } else {
          ledger_->begun[id].fetch_add(1);
          one.done();
          ledger_->acknowledged[id].fetch_add(1);
        }
      } catch (const std::system_error& error) {
        if (error.code() != errc::lease_expired) throw;
        ledger_->refused.fetch_add(1);
      }
      ledger_->turns.fetch_add(1);
      if (turn % 50 == 0) {
        if (auto letter = queue_.pop_dead_letter(); letter && turn % 100 == 0) letter.retry();
      }
    }
  }
  template <class Work>
  void expect_each_once(Work work) {
    soak_plan plan = soak_of_a_companion();
    plan.max_kills = most_jobs / jobs_for_a_kill - 1;
    plan.work = [&](const soak_worker& me) { me.index < producers ? produce(me) : work(me); };
    plan.progress = [&] { return ledger_->turns.load(); };
    plan.standing = [&] {
      return std::to_string(queue_.waiting()) + " jobs wait, " + std::to_string(queue_.leased()) +
             " are leased, " + std::to_string(queue_.dead_letters()) + " are dead letters";
    };
    plan.after_kill = [&](unsigned, pid_t) { allowed_.add(jobs_for_a_kill); };
    expect_each_once_after(soak(plan));
  }
  void expect_each_once_after(const soak_result& result) {
    // What is left: jobs that wait, once each, and dead letters.
    EXPECT_EQ(queue_.leased(), 0u);
    std::vector<std::uint8_t> left(most_jobs);
    while (auto one = queue_.try_pop()) {
      ++left[one->id];
      one.done();
    }
    while (auto letter = queue_.pop_dead_letter()) {
      ++left[letter->id];
      letter.done();
    }
    EXPECT_EQ(ledger_->torn.load(), 0u);
    const std::uint32_t jobs = std::min(ledger_->next.load(), most_jobs);
    unsigned unsure = 0;
    for (std::uint32_t id = 0; id < jobs; ++id) {
      const unsigned least = ledger_->acknowledged[id] + left[id],
                     most = ledger_->begun[id] + left[id];
      EXPECT_LE(ledger_->acknowledged[id], 1) << "job " << id << " was acknowledged twice";
      EXPECT_LE(least, 1u) << "job " << id << " was acknowledged, and is there";
      if (ledger_->pushed[id] != 0) {
        EXPECT_GE(most, 1u) << "job " << id << " is lost";
      }
      if (least == 0 && most != 0) ++unsure;
    }
    // A worker that was killed around done() cannot tell whether it was: of these nothing is known,
    // and they must be few.
    EXPECT_LE(unsure, result.kills);
    EXPECT_GT(jobs, result.kills);
  }

  explicit work_queue_random_kill_test(const work_queue_options& options = {})
      : queue_(seg_.find_or_construct<queue>("jobs", options)) {}

  segment seg_ = segment::anonymous(small_segment());
  queue& queue_;
  shared_object<ledger> ledger_;
  shared_value<std::uint32_t> allowed_{jobs_for_a_kill};
};

class limited_queue_random_kill_test : public work_queue_random_kill_test {
 protected:
  limited_queue_random_kill_test()
      : work_queue_random_kill_test({.lease_limit = std::chrono::hours(1)}) {}
};

TEST_F(work_queue_random_kill_test, each_job_is_acknowledged_once_or_is_a_dead_letter) {
  expect_each_once([this](const soak_worker& me) { work(me); });
}

// Two threads of a process have a job one after the other, and either may have ended by then.
TEST_F(work_queue_random_kill_test, each_job_that_is_handed_over_is_acknowledged_once) {
  expect_each_once([this](const soak_worker& me) { hand_over(me); });
  EXPECT_GT(ledger_->handed.load(), 0U);
}

TEST_F(limited_queue_random_kill_test, each_job_is_acknowledged_once_whatever_lease_is_over) {
  expect_each_once([this](const soak_worker& me) { work_late(me); });
  EXPECT_GT(ledger_->refused.load(), 0U);
}

}  // namespace
}  // namespace outlive::testing
