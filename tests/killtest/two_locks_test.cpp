// Several locks: each repair looks right alone, and together they are not.
#include <outlive/killtest/gtest.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

/// `from` has the journal of a transfer between the two: whoever moves money holds both mutexes,
/// and takes that of `from` first.
struct account {
  long balance = 500;
  long undo_own = 0;
  long undo_other = 0;
  long under_way = 0;
};

using guarded_account = guarded<account>;

scenario two_accounts(repair_result (*repair)(account& from, account& to)) {
  scenario made;
  made.name = "two accounts";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_account>("from", "from"));
    static_cast<void>(seg.find_or_construct<guarded_account>("to", "to"));
  };
  made.repairs = [=](segment& seg) {
    auto& to = *seg.find<guarded_account>("to");
    return all_of(
        on_owner_death<account>(
            seg, "from",
            [=, &to](account& from, const owner_death&) { return repair(from, to.unguarded()); }),
        on_owner_death<account>(seg, "to", [](account&, const owner_death&) { return repaired; }));
  };
  made.victim = [](segment& seg) {
    auto from = seg.find<guarded_account>("from")->lock();
    auto to = seg.find<guarded_account>("to")->lock();
    from->undo_own = from->balance;
    from->undo_other = to->balance;
    crash_barrier();
    from->under_way = 1;
    crash_barrier();
    from->balance -= 1;
    crash_barrier();
    to->balance += 1;
    crash_barrier();
    from->under_way = 0;
  };
  made.invariant = [](segment& seg) {
    const auto from = seg.find<guarded_account>("from")->lock();
    const auto to = seg.find<guarded_account>("to")->lock();
    const long sum = from->balance + to->balance;
    return sum == 1000 ? std::string() : "together they have " + std::to_string(sum) + ", not 1000";
  };
  return made;
}

TEST(two_locks, repairs_that_look_right_alone_are_found_wrong_together) {
  const report found = explore(two_accounts([](account& from, account&) {
    // The mutex of `from` guards `from`: so that is what is rolled back.
    if (from.under_way != 0) from.balance = from.undo_own;
    crash_barrier();
    from.under_way = 0;
    return repaired;
  }));
  EXPECT_GT(found.failed(), 0U) << found;
  for (const crash_state& each : found.states) {
    if (each.result == verdict::ok) continue;
    EXPECT_EQ(each.result, verdict::invariant_violated) << found;
    EXPECT_TRUE(each.confirmed) << found;
  }
}

TEST(two_locks, a_repair_of_both_accounts_survives) {
  EXPECT_SURVIVES_KILLS(two_accounts([](account& from, account& to) {
    if (from.under_way == 0) return repaired;
    from.balance = from.undo_own;
    crash_barrier();
    to.balance = from.undo_other;
    crash_barrier();
    from.under_way = 0;
    return repaired;
  }));
}

}  // namespace
}  // namespace outlive::killtest::testing
