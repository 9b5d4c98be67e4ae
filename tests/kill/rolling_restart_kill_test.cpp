// A rolling restart, as docs/guide/upgrading.md has it: workers of an old release are replaced one
// by one by those of a new one, which puts a segment of its own in the place of the old one.
// Workers of both are killed at any moment; no counted work is lost.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct ledger_1 {
  std::uint64_t total = 0;
  std::uint64_t twin = 0;
  bool moved = false;
};
struct ledger_2 {
  std::uint64_t total = 0;
  std::uint64_t moved_over = 0;
  std::uint64_t twin = 0;
};
constexpr char name_1[] = "ledger", name_2[] = "ledger of release 2";

template <class Ledger>
repair_registration register_repair(segment& seg) {
  return on_owner_death<Ledger>(seg, "ledger", [](Ledger& x, const owner_death&) {
    x.total = x.twin;
    return repaired;
  });
}

segment_options options_of_release(std::size_t release) {
  segment_options options;
  options.size = release * 65'536;
  options.threads = options.participants = 32;
  return options;
}

class rolling_restart : public ::testing::Test {
 protected:
  /// Counts until it is told to stop, or its ledger is not to be used any more.
  template <class Ledger, class MayGoOn>
  void count(guarded<Ledger>& ledger, MayGoOn may_go_on) {
    while (stop_.load() == 0) {
      begun_.add();
      {
        auto hold = ledger.lock();
        if (!may_go_on(*hold)) return;
        hold->total += 1;
        hold->twin = hold->total;
      }
      done_.add();
    }
  }

  void work_1() {
    segment seg = segment::open(name_);
    auto* const ledger = seg.find<guarded<ledger_1>>(name_1);
    if (ledger == nullptr) return;  // the new release has it by now
    const auto repair = register_repair<ledger_1>(seg);
    count(*ledger, [&](const ledger_1& x) { return !x.moved; });
  }

  void work_2() {
    segment old = segment::open(name_);
    segment seg = old.find<guarded<ledger_2>>(name_2) != nullptr ? old : upgraded(old);
    const auto repair = register_repair<ledger_2>(seg);
    count(*seg.find<guarded<ledger_2>>(name_2), [](const ledger_2&) { return true; });
  }

  segment upgraded(segment& old) {
    const auto repair = register_repair<ledger_1>(old);
    return segment::replace(old, options_of_release(2), [&](segment& made) {
      auto from = old.find<guarded<ledger_1>>(name_1)->lock();
      from->moved = true;
      made.find_or_construct<guarded<ledger_2>>(name_2, "ledger",
                                                ledger_2{from->total, from->total, from->total});
      filled_.add();
    });
  }

  void start(std::unique_ptr<child>& slot, int release) {
    slot = std::make_unique<child>("worker of release " + std::to_string(release),
                                   [this, release](agent&) { release == 1 ? work_1() : work_2(); });
  }

  test_name name_;
  shared_value<int> stop_;
  shared_counter begun_, done_, filled_;
};

TEST_F(rolling_restart, under_kills_loses_no_work_and_leaves_one_segment) {
  constexpr int rounds = 80, first_of_release_2 = 15;
  segment first = segment::create(name_, options_of_release(1));
  first.find_or_construct<guarded<ledger_1>>(name_1, "ledger");
  std::array<std::unique_ptr<child>, 4> workers;
  for (auto& each : workers) start(each, 1);
  std::minstd_rand random(4711);
  for (int round = 0; round < rounds; ++round) {
    const int release = round < first_of_release_2 ? 1 : 2;
    const std::uint64_t target = done_.load() + random() % 40;
    const deadline end(default_timeout());
    while (!done_.wait_at_least(target, milliseconds(20))) {
      ASSERT_FALSE(end.passed()) << "no worker gets on, round " << round;
      for (auto& each : workers) {
        // it does when one of release 1 sees that its ledger has moved
        if (!each->ended()) continue;
        each->expect_exit();
        start(each, 2);
      }
    }
    auto& victim = workers[random() % workers.size()];
    victim->kill();
    const exit_status status = victim->wait();
    EXPECT_TRUE(status.killed_by(SIGKILL) || status.exited_with(0)) << status.describe();
    start(victim, release);
  }
  stop_.store(1);
  for (auto& each : workers) each->expect_exit();

  EXPECT_FALSE(first.has_name());
  EXPECT_TRUE(first.find<guarded<ledger_1>>(name_1)->unguarded().moved);
  EXPECT_GE(filled_.load(), 1U);
  segment last = segment::open_or_create(name_, options_of_release(2));
  const auto repair = register_repair<ledger_2>(last);
  const auto hold = last.find<guarded<ledger_2>>(name_2)->lock();
  EXPECT_EQ(hold->total, hold->twin);
  EXPECT_EQ(hold->moved_over, first.find<guarded<ledger_1>>(name_1)->unguarded().total);
  EXPECT_GE(hold->total, done_.load());
  EXPECT_LE(hold->total, begun_.load());
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/.outlive-next." + std::string(name_)));
}

}  // namespace
}  // namespace outlive::testing
