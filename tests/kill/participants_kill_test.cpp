// Participants that died in their locks: their process slots, too, are found again by whoever
// comes.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "scenes/accounts.hpp"

namespace outlive::testing {
namespace {

class participants_kill_test : public ::testing::Test {
 protected:
  // A name of this process's own.
  const std::string name_ = "test.participants." + std::to_string(getpid());
  void TearDown() override { segment::unlink(name_); }
};

TEST_F(participants_kill_test, all_slots_of_processes_that_died_inside_a_newcomer_recovers) {
  constexpr unsigned slots = 3;
  segment_options options = small_segment();
  options.participants = slots;
  for (unsigned i = 0; i < slots; ++i) {
    child owner("owner", [&](agent&) {
      prctl(PR_SET_NAME, "owner");
      auto seg = segment::open_or_create(name_, options);
      auto& mine =
          seg.find_or_construct<guarded<account>>("account " + std::to_string(i), "account");
      mine.mutex().lock();
      mine.unguarded().tear();
      kill(getpid(), SIGKILL);
    });
    owner.expect_killed();
  }
  child newcomer("newcomer", [&](agent&) {
    prctl(PR_SET_NAME, "newcomer");
    auto seg = segment::open(name_);
    unsigned repairs = 0, unknown = 0, known = 0;
    const auto repair =
        on_owner_death<account>(seg, "account", [&](account& x, const owner_death& death) {
          ++repairs;
          x.mend();
          EXPECT_TRUE(death.owner().known);
          EXPECT_NE(death.owner().pid, getpid());
          // What its process had told of itself is gone where this one has taken its slot; it must
          // not be told of the wrong one.
          unknown +=
              death.owner().command_name == "unknown" && death.acquired_at().module == "unknown";
          known += death.owner().command_name == "owner" && death.acquired_at().module != "unknown";
          return repaired;
        });
    EXPECT_EQ(recover(seg).size(), slots);
    EXPECT_EQ(repairs, slots);
    EXPECT_EQ(unknown, 1u);
    EXPECT_EQ(known, slots - 1);
  });
  newcomer.expect_exit(0);
}

TEST_F(participants_kill_test, slots_of_the_dead_are_used_again_for_ever) {
  segment_options options = small_segment();
  options.participants = 2;
  auto seg = segment::create(name_, options);
  for (int i = 0; i < 20; ++i) {
    child owner("owner", [&](agent&) {
      auto again = segment::open(name_);
      auto& mine = again.find_or_construct<guarded<account>>("account", "account");
      std::error_code error;
      mine.mutex().lock(error);
      ASSERT_TRUE(!error || error == errc::owner_died_unrepaired) << error.message();
      kill(getpid(), SIGKILL);
    });
    owner.expect_killed();
  }
}

}  // namespace
}  // namespace outlive::testing
