// Death around each pthread call that the library makes: entering, leaving, repairing, claiming,
// recovering, adopting.
//
// The victim counts the calls on mutexes of the segment (trap.hpp), and dies before or after the
// n-th, for n = 0, 1, 2 ... until it survives. What a death at that place must cost is written down
// for each.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <map>
#include <string>

#include "scenes/accounts.hpp"
#include "scenes/report_copy.hpp"
#include "scenes/trap.hpp"
#include "support/orphans.hpp"

namespace outlive::testing {
namespace {

/// What the survivor must find after a death at a place.
struct cost {
  bool recovered;    // the survivor's lock() repaired
  unsigned repairs;  // in all
};

struct scenario {
  std::function<void(const accounts&)> before = [](const accounts&) {};  // in the test
  // in the victim, undisturbed
  std::function<void(const accounts&)> approach = [](const accounts&) {};
  // in the victim, who dies somewhere in it
  std::function<void(const accounts&)> act;
  std::map<std::string, cost> costs;
  unsigned deaths = 0;         // at how many places
  bool whole_segment = false;  // calls on any mutex of the segment count
};

/// One victim, one survivor. Returns where the victim died, empty if it did not.
std::string run_once(const scenario& plan, int n) {
  accounts all;
  const auto repair = all.mended_here();
  plan.before(all);
  const unsigned before = all.repairs();
  shared_object<text_copy<64>> place;
  child victim("victim", [&](agent&) {
    note(all.seg(), 1);  // a record, so that only act() makes calls that count
    plan.approach(all);
    const auto* mutex = reinterpret_cast<const char*>(&all.mutex());
    const auto* base = static_cast<const char*>(all.seg().base());
    the_trap = plan.whole_segment ? trap{base, base + all.seg().size_bytes(), n, place.get()}
                                  : trap{mutex, mutex + sizeof(robust_mutex), n, place.get()};
    plan.act(all);
    the_trap.left = -1;
    all.value().mend();
    std::error_code not_inside;
    all.mutex().unlock(not_inside);
  });
  const exit_status end = victim.wait();
  if (end.exited_with(0)) {
    expect_usable(all);
    return {};
  }
  EXPECT_TRUE(end.killed_by(SIGKILL)) << end.describe();
  const std::string where(place->view());
  SCOPED_TRACE("death " + std::to_string(n) + ", " + where);
  const auto expected = plan.costs.find(where);
  if (expected == plan.costs.end()) {
    ADD_FAILURE() << "a call that the scenario does not know";
    return where;
  }
  expect_survivor(all, 0, expected->second.recovered);
  EXPECT_EQ(all.repairs() - before, expected->second.repairs);
  expect_usable(all);
  recover(all.seg());
  EXPECT_EQ(all.seg().threads_in_use(), 1u) << all.who_holds_what();
  return where;
}

void run(const scenario& plan) {
  unsigned deaths = 0;
  while (!run_once(plan, static_cast<int>(deaths)).empty() && !::testing::Test::HasFailure())
    ++deaths;
  EXPECT_EQ(deaths, plan.deaths);
}

void orphan_it(const accounts& all) {
  child owner("owner", [&](agent&) {
    all.lock_and_tear();
    die_leaving_orphans(orphan_kind::list_unset, {});
  });
  expect_orphaned(owner, orphan_kind::list_unset);
}

TEST(at_call_kill_test, killed_while_entering_there_is_nothing_to_repair) {
  run({
      .act = [](const accounts& all) { all.mutex().lock(); },
      .costs = {{"before trylock", {false, 0}}, {"after trylock", {false, 0}}},
      .deaths = 2,
  });
}

TEST(at_call_kill_test, killed_while_leaving_there_is_nothing_to_repair) {
  run({
      .approach = [](const accounts& all) { all.mutex().lock(); },
      .act = [](const accounts& all) { all.mutex().unlock(); },
      .costs = {{"before unlock", {false, 0}}, {"after unlock", {false, 0}}},
      .deaths = 2,
  });
}

TEST(at_call_kill_test,
     an_heir_killed_before_its_repair_leaves_it_to_the_next_and_after_it_does_not) {
  run({
      .before = [](const accounts& all) { kill_a_holder(all); },
      .act = [](const accounts& all) { all.mutex().lock(); },
      .costs = {{"before trylock", {true, 1}},
                {"after trylock", {true, 1}},
                {"before consistent", {false, 1}},
                {"after consistent", {false, 1}}},
      .deaths = 4,
  });
}

TEST(at_call_kill_test,
     a_recoverer_killed_before_its_repair_leaves_it_to_the_next_and_after_it_does_not) {
  run({
      .before = [](const accounts& all) { kill_a_holder(all); },
      .act = [](const accounts& all) { recover(const_cast<accounts&>(all).seg()); },
      .costs = {{"before trylock", {true, 1}},
                {"after trylock", {true, 1}},
                {"before consistent", {false, 1}},
                {"after consistent", {false, 1}},
                {"before unlock", {false, 1}},
                {"after unlock", {false, 1}}},
      .deaths = 6,
  });
}

TEST(at_call_kill_test, an_heir_whose_repair_fails_killed_anywhere_leaves_the_death_unrepaired) {
  run({
      .before = [](const accounts& all) { kill_a_holder(all); },
      .act =
          [](const accounts& all) {
            auto fails = on_owner_death(all.mutex(), [](const owner_death&) { return failed; });
            std::error_code error;
            all.mutex().lock(error);
            the_trap.left = -1;
            EXPECT_EQ(error, errc::repair_failed);
            fails.reset();
            all.mutex().lock();  // now with the repair of the class
          },
      .costs = {{"before trylock", {true, 1}},
                {"after trylock", {true, 1}},
                {"before consistent", {true, 1}},
                {"after consistent", {true, 1}},
                {"before unlock", {true, 1}},
                {"after unlock", {true, 1}}},
      .deaths = 6,
  });
}

TEST(at_call_kill_test, an_adopter_killed_anywhere_leaves_the_orphan_to_the_next) {
  // The victim's repair has run before the first "consistent" on the orphan; "consistent" on the
  // adoption mutex comes in no run.
  run({
      .before = orphan_it,
      .act = [](const accounts& all) { all.mutex().lock(); },
      .costs = {{"before trylock", {true, 1}},
                {"after trylock", {true, 1}},
                {"before unlock", {true, 1}},
                {"after unlock", {true, 1}},
                {"before consistent", {false, 1}},
                {"after consistent", {false, 1}}},
      .deaths = 10,
      .whole_segment = true,
  });
}

TEST(at_call_kill_test, killed_while_it_claims_a_record_the_record_is_free_again) {
  segment_options options = small_segment();
  options.threads = 2;
  accounts all(1, options);
  const auto repair = all.mended_here();
  const auto* base = static_cast<const char*>(all.seg().base());
  unsigned deaths = 0;
  for (bool died = true; died; deaths += died) {
    shared_object<text_copy<64>> place;
    child victim("victim", [&](agent&) {
      the_trap = {base, base + all.seg().size_bytes(), static_cast<int>(deaths), place.get()};
      note(all.seg(), 1);
      the_trap.left = -1;
    });
    const exit_status end = victim.wait();
    died = end.killed_by(SIGKILL);
    EXPECT_TRUE(died || end.exited_with(0)) << end.describe();
    EXPECT_EQ(all.seg().threads_in_use(), 1u) << place->view() << '\n' << all.who_holds_what();
    expect_usable(all);
  }
  EXPECT_GE(deaths, 2u);  // around the trylock of the liveness mutex
}

}  // namespace
}  // namespace outlive::testing
