// What a supervisor reads was written by processes that died in the middle of it, or is damaged;
// and supervisors die at any moment themselves.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "scenes/accounts.hpp"
#include "scenes/watching.hpp"
#include "segment/segment_access.hpp"

namespace outlive::testing {
namespace {

class supervisor_damage_kill_test : public ::testing::Test {
 protected:
  detail::mapping& bytes() { return *detail::segment_access::mapping_of(all_.seg()); }

  accounts all_{4};
  repair_registration repair_ = all_.mended_here();
  const unsigned seed_ = std::random_device{}();
  ::testing::ScopedTrace trace_{__FILE__, __LINE__, "seed " + std::to_string(seed_)};
  std::mt19937_64 dice_{seed_};
};

/// Anything may stand in the tables while it is watched: nothing is followed that leads outside,
/// nobody is killed, and real deaths are still met.
TEST_F(supervisor_damage_kill_test, damaged_tables_while_it_is_watched) {
  watching watch(all_.seg(), sweeping_often());
  watch->on_hung(milliseconds(1), [](const hung_owner&) {});
  watch->on_deadlock([](const deadlock&) {});
  child bystander("bystander", all_.holder(3));
  bystander.wait_for("inside");
  for (int round = 0; round < 50; ++round) {
    // Only slots and records that nobody has: what the living stand on is theirs to lose.
    for (std::uint32_t i = bytes().constants().participants / 2;
         i < bytes().constants().participants; ++i) {
      auto* const slot = reinterpret_cast<char*>(&bytes().participant_at(i));
      for (std::size_t at = 0; at < sizeof(detail::participant); at += 8) {
        const std::uint64_t garbage = dice_();
        std::memcpy(slot + at, &garbage, 8);
      }
    }
    for (std::uint32_t i = bytes().record_count() / 2; i < bytes().record_count(); ++i) {
      auto& record = bytes().record(i);
      record.generation.store(dice_());
      record.pid.store(static_cast<std::uint32_t>(dice_() % 70'000));
      record.tid.store(static_cast<std::uint32_t>(dice_()));
      record.participant.store(static_cast<std::uint32_t>(dice_()));
      for (std::uint32_t entry = 0; entry < detail::held_places(bytes().constants()); ++entry)
        bytes().held(i)[entry].place.store(dice_() % (2 * bytes().size()));
      auto* const word = reinterpret_cast<std::uint32_t*>(&record.liveness);
      __atomic_store_n(
          word, round % 2 == 0 ? 0x40000000U : static_cast<std::uint32_t>(dice_()) & 0xbfffffffU,
          __ATOMIC_RELEASE);
    }
    int looks = 0;
    watch.until([&] { return ++looks > 3; });
  }
  EXPECT_FALSE(bystander.ended());
  EXPECT_FALSE(all_.mutex(3).try_lock()) << "what the living hold was recovered";
  bystander.kill();
  ASSERT_TRUE(watch.until([&] { return all_.repairs(3) == 1; }));
  bystander.expect_killed();
  expect_usable(all_, 3);
}

/// Another version, as after a restart with a new library while it is watched: the mapping was
/// judged when it was opened, and is used on.
TEST_F(supervisor_damage_kill_test, a_header_of_another_version_while_it_is_watched) {
  watching watch(all_.seg(), sweeping_often());
  bytes().header().constants.version += 1;
  bytes().header().constants.threads = 0xffffffff;
  bytes().header().records_in_use.store(0xffffffff);
  child owner("owner", all_.holder());
  owner.wait_for("inside");
  owner.kill();
  ASSERT_TRUE(watch.until_dead(owner.pid()));
  EXPECT_EQ(watch.deaths.at(0).recovered.size(), 1u);
  owner.expect_killed();
}

/// Somebody has made the file longer: then queues and permits are not looked for, but mutexes are.
TEST_F(supervisor_damage_kill_test, mutexes_are_watched_where_queues_cannot_be_read) {
  watching watch(all_.seg(), sweeping_often());
  ASSERT_EQ(ftruncate(bytes().fd(), static_cast<off_t>(bytes().size() + 4096)), 0);
  std::vector<hung_owner> hung;
  watch->on_hung(milliseconds(20), [&](const hung_owner& owner) { hung.push_back(owner); });
  std::vector<deadlock> deadlocks;
  watch->on_deadlock([&](const deadlock& found) { deadlocks.push_back(found); });
  const auto holds_and_wants = [&](unsigned first, unsigned second) {
    return [&, first, second](agent& parent) {
      all_.mutex(first).lock();
      parent.tell("first");
      parent.await("go on");
      all_.mutex(second).lock();  // the heir of the one that is killed first
      parent.await("end");
    };
  };
  child one("one", holds_and_wants(0, 1)), other("other", holds_and_wants(1, 0));
  for (child* const each : {&one, &other}) each->wait_for("first");
  ASSERT_TRUE(watch.until([&] { return hung.size() == 2; }));
  ASSERT_EQ(watch.errors.size(), 1u);
  EXPECT_NE(watch.errors[0].find("looking at queues and permits"), std::string::npos)
      << watch.errors[0];
  for (child* const each : {&one, &other}) each->tell("go on");
  ASSERT_TRUE(watch.until([&] { return !deadlocks.empty(); }));
  EXPECT_EQ(deadlocks[0].threads.size(), 2u);
  for (child* const each : {&one, &other}) {
    each->kill();
    each->expect_killed();
  }
}

TEST_F(supervisor_damage_kill_test, supervisors_that_are_killed_at_any_moment_lose_nothing) {
  for (int round = 0; round < 60; ++round) {
    child owner("owner", all_.holder(0));
    owner.wait_for("inside");
    child overseer("overseer", [&](agent& parent) {
      supervisor watch(all_.seg(), sweeping_often());
      watch.dispatch();
      parent.tell("watching");
      watch.run({});
    });
    overseer.wait_for("watching");
    owner.kill();
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(dice_() % 1'500);
    while (std::chrono::steady_clock::now() < end) {
    }
    overseer.kill();
    owner.expect_killed();
    overseer.expect_killed();
    if (round % 2 == 0) {
      watching next(all_.seg());
    } else {
      const auto held = all_[0].lock();
      EXPECT_TRUE(held->whole());
    }
    ASSERT_TRUE(all_.value().whole()) << "round " << round;
    ASSERT_TRUE(all_.mutex().try_lock()) << "round " << round << '\n' << all_.who_holds_what();
    all_.mutex().unlock();
    ASSERT_EQ(all_.seg().threads_in_use(), 1u) << "round " << round << '\n'
                                               << all_.who_holds_what();
  }
}

}  // namespace
}  // namespace outlive::testing
