// The promise of a work queue, under random kills: every job whose push returned is acknowledged exactly once, or is a dead letter.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "process/accounts.hpp"
#include "support/child.hpp"

namespace outlive::testing {
namespace {

struct job {
  std::uint32_t id;
  std::uint32_t complement;  // so that a torn copy is seen
};
constexpr unsigned producers = 3, workers = 5, most_jobs = 1u << 20;

// What the processes of a run share beside the queue. A job goes through it in this order, so that whatever dies, each count says at most what is true.
struct ledger {
  std::atomic<std::uint32_t> next{0};
  std::array<std::atomic<std::uint8_t>, most_jobs> pushed{};  // its push returned
  std::array<std::atomic<std::uint8_t>, most_jobs> begun{};   // done() was about to be called for it: so often
  std::array<std::atomic<std::uint8_t>, most_jobs> acknowledged{};
  std::atomic<std::uint32_t> torn{0};
  std::atomic<std::uint64_t> turns{0};
};

class work_queue_random_kill_test : public ::testing::Test {
 protected:
  using queue = work_queue<job, 32>;

  void produce() {
    for (;;) {
      const std::uint32_t id = ledger_->next.fetch_add(1);
      // Jobs must not run out before the last kill, however fast they are.
      if (!allowed_.wait([&](std::uint32_t jobs) { return jobs > id; })) return;
      queue_.push({id, ~id});
      ledger_->pushed[id] = 1;
      ledger_->turns.fetch_add(1);
    }
  }
  void work() {
    unsigned turn = 0;
    for (;;) {
      auto one = queue_.pop();
      if (one->complement != ~one->id) ledger_->torn.fetch_add(1);
      const std::uint32_t id = one->id;
      if (++turn % 7 == 0) {
        one.give_back();
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
  std::unique_ptr<child> start(unsigned number) {
    if (number < producers) return std::make_unique<child>("producer", [this](agent&) { produce(); });
    return std::make_unique<child>("worker", [this](agent&) { work(); });
  }

  segment where_ = segment::anonymous(small_segment());
  queue& queue_ = where_.find_or_construct<queue>("jobs");
  shared_object<ledger> ledger_;
  shared_value<std::uint32_t> allowed_;
};

TEST_F(work_queue_random_kill_test, each_job_is_acknowledged_once_or_is_a_dead_letter) {
  constexpr unsigned processes = producers + workers, kills = 400;
  std::mt19937 random(2026);
  std::vector<std::unique_ptr<child>> all;
  for (unsigned i = 0; i < processes; ++i) all.push_back(start(i));
  for (unsigned i = 0; i < kills; ++i) {
    allowed_.store((i + 1) * (most_jobs / kills));
    const auto wanted = ledger_->turns.load() + 1 + random() % 40;
    ASSERT_TRUE(within(default_timeout(), [&] { return ledger_->turns.load() >= wanted; }))
        << "after " << i << " kills: " << queue_.waiting() << " wait, " << queue_.leased() << " are leased, " << queue_.dead_letters()
        << " are dead letters";
    const unsigned victim = static_cast<unsigned>(random() % processes);
    all[victim]->kill();
    all[victim]->expect_killed();
    all[victim] = start(victim);
  }
  for (auto& each : all) {
    each->kill();
    each->expect_killed();
  }
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
    const unsigned least = ledger_->acknowledged[id] + left[id], most = ledger_->begun[id] + left[id];
    EXPECT_LE(ledger_->acknowledged[id], 1) << "job " << id << " was acknowledged twice";
    EXPECT_LE(least, 1u) << "job " << id << " was acknowledged, and is there";
    if (ledger_->pushed[id] != 0) {
      EXPECT_GE(most, 1u) << "job " << id << " is lost";
    }
    if (least == 0 && most != 0) ++unsure;
  }
  // A worker that was killed around done() cannot tell whether it was: of these nothing is known, and they must be few.
  EXPECT_LE(unsure, kills);
  EXPECT_GT(jobs, kills);
}

}  // namespace
}  // namespace outlive::testing
