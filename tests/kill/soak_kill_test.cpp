// Eight workers under random kills for ten seconds: what no single case sees. The seed is printed.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>

#include <outlive/outlive.hpp>

#include "scenes/accounts.hpp"
#include "support/soak.hpp"

namespace outlive::testing {
namespace {

constexpr unsigned workers = 8;
constexpr unsigned stocks = 4;

/// Units are moved between two shelves; `moves` counts the finished moves of each worker. A move
/// writes a plan first, so that a repair can roll it forward, wherever it was cut off and however
/// often the repair itself is.
struct stock {
  std::uint64_t left = 1'000'000;
  std::uint64_t right = 0;
  std::uint64_t moves = 0;
  // The plan: what the three shall be. `planned` is written last, and taken back last.
  std::uint64_t next_left = 0;
  std::uint64_t next_right = 0;
  std::uint64_t next_moves = 0;
  std::uint64_t planned = 0;

  bool whole() const { return planned == 0 && left + right == 1'000'000 && right == moves; }

  void move_one(unsigned dwell) {
    next_left = left - 1;
    next_right = right + 1;
    next_moves = moves + 1;
    barrier();
    planned = 1;
    barrier();
    finish(dwell);
  }
  void finish(unsigned dwell) {
    left = next_left;
    rest(dwell);
    right = next_right;
    rest(dwell);
    moves = next_moves;
    barrier();
    planned = 0;
    barrier();
  }
  static void rest(unsigned rounds) {
    barrier();
    for (unsigned i = 0; i < rounds; ++i) asm volatile("" ::: "memory");
  }
  static void barrier() { std::atomic_signal_fence(std::memory_order_seq_cst); }
};

struct tally {
  std::atomic<std::uint64_t> repairs{0};  // started
  std::atomic<std::uint64_t> finished{0};
  std::atomic<std::uint64_t> moves{0};  // that their worker lived to count
  std::array<std::atomic<bool>, workers> inside{};
  std::atomic<std::uint64_t> recovered{0};
};

class soak_kill_test : public ::testing::Test {
 protected:
  static segment_options options() {
    segment_options chosen = small_segment();
    chosen.attempts = 63;  // a kill from outside counts as an attempt, too
    return chosen;
  }

  void SetUp() override {
    for (unsigned i = 0; i < stocks; ++i) {
      all_[i] = &seg_.find_or_construct<guarded<stock>>("stock " + std::to_string(i), "stock");
    }
    note(seg_, 0);
    repair_ = on_owner_death<stock>(seg_, "stock", [this](stock& x, const owner_death&) {
      tally_->repairs.fetch_add(1);
      if (x.planned != 0) x.finish(0);
      tally_->finished.fetch_add(1);
      return repaired;
    });
  }

  void work(const soak_worker& self) {
    std::mt19937_64 random(self.seed);
    const auto move = [&](guarded<stock>::guard& x) {
      // Whoever is let in finds it whole, by a repair or without.
      if (!x->whole()) self.parent.fail("let in to a torn stock");
      tally_->recovered.fetch_add(x.recovered());
      // Now and then long enough for a kill to land.
      x->move_one(random() % 64 == 0 ? 20'000 : 0);
      tally_->moves.fetch_add(1);
    };
    while (!self.stopping()) {
      auto x = all_[random() % stocks]->lock();
      tally_->inside[self.index].store(true);
      move(x);
      if (random() % 16 == 0) {
        if (auto y = all_[random() % stocks]->try_lock()) move(y);
      }
      tally_->inside[self.index].store(false);
    }
  }

  segment seg_ = segment::anonymous(options());
  std::array<guarded<stock>*, stocks> all_{};
  shared_object<tally> tally_;
  repair_registration repair_;
};

TEST_F(soak_kill_test, eight_workers_lose_no_move_no_lock_and_no_record) {
  const soak_result result = soak({
      .workers = workers,
      .work = [this](const soak_worker& self) { work(self); },
      .duration = milliseconds(10'000),
      .longest_pause = std::chrono::microseconds(3000),
      .aim = [this](unsigned index) { return tally_->inside[index].load(); },
      .aimed_share = 0.5,
      .after_kill = [this](unsigned index, pid_t) { tally_->inside[index].store(false); },
  });
  std::printf("%s\n", result.describe().c_str());
  // What the last deaths left behind.
  for (const auto& line : recover(seg_)) {
    EXPECT_TRUE(line.outcome == recovery_outcome::repaired ||
                line.outcome == recovery_outcome::nothing_to_repair)
        << line.mutex_name << ": " << to_string(line.outcome);
  }
  std::uint64_t moves = 0;
  for (unsigned i = 0; i < stocks; ++i) {
    auto x = all_[i]->try_lock_for(default_timeout());
    ASSERT_TRUE(x) << "stock " << i;
    EXPECT_FALSE(x.recovered());
    EXPECT_TRUE(x->whole()) << "stock " << i << ": " << x->left << " + " << x->right << ", "
                            << x->moves << " moves";
    moves += x->moves;
  }
  // A killed worker may have finished two moves, or a repair for it, which it did not live to
  // count.
  EXPECT_GE(moves, tally_->moves.load());
  EXPECT_LE(moves, tally_->moves.load() + 2 * result.kills);
  EXPECT_EQ(seg_.threads_in_use(), 1u);
  std::printf("%llu moves, %llu repairs started, %llu finished, %llu recovered() seen\n",
              static_cast<unsigned long long>(moves),
              static_cast<unsigned long long>(tally_->repairs.load()),
              static_cast<unsigned long long>(tally_->finished.load()),
              static_cast<unsigned long long>(tally_->recovered.load()));
  // A worker holds two locks at most, and a kill ends one worker: no more than two repairs for each
  // kill can be due. And a soak in which none was due proves nothing.
  EXPECT_GT(tally_->repairs.load(), 0u);
  EXPECT_LE(tally_->repairs.load(), 2 * result.kills);
  EXPECT_LE(tally_->finished.load(), tally_->repairs.load());
  EXPECT_LE(tally_->recovered.load(), tally_->finished.load());
  const auto log = death_log(seg_);
  ASSERT_FALSE(log.empty());
  // An heir can be killed between its entry in the log and the start of the repair.
  EXPECT_GE(log.back().number, tally_->repairs.load());
  EXPECT_LE(log.back().number, tally_->repairs.load() + result.kills);
}

}  // namespace
}  // namespace outlive::testing
