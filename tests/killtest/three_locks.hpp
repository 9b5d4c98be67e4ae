// A payment over three accounts, each behind a lock of its own, in one critical section that holds
// all three. The first account has the journal.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/killtest/scenario.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {

struct chained_account {
  long balance = 500;
  long before = 500;
};
struct chain_journal {
  long under_way = 0;
};
using guarded_chained = guarded<chained_account>;

inline constexpr std::array<const char*, 3> chained_names = {"first", "second", "third"};

inline void pay_along_the_chain(segment& seg) {
  auto first = seg.find<guarded_chained>("first")->lock();
  first->before = first->balance;
  crash_barrier();
  auto second = seg.find<guarded_chained>("second")->lock();
  second->before = second->balance;
  crash_barrier();
  auto third = seg.find<guarded_chained>("third")->lock();
  third->before = third->balance;
  crash_barrier();
  auto& under_way = seg.find<chain_journal>("journal")->under_way;
  under_way = 7;  // a bit for each
  crash_barrier();
  first->balance -= 3;
  crash_barrier();
  second->balance += 1;
  crash_barrier();
  third->balance += 2;
  crash_barrier();
  under_way = 0;
}

// `clears`: the bits that a repair clears, of the account with this bit. Each account's repair
// rolls back its own.
inline scenario three_locks_scenario(long (*clears)(long bit) = [](long bit) { return bit; }) {
  scenario made;
  made.name = "three nested locks";
  made.make = [](segment& seg) {
    for (const char* const each : chained_names)
      static_cast<void>(seg.find_or_construct<guarded_chained>(each, each));
    static_cast<void>(seg.find_or_construct<chain_journal>("journal"));
  };
  made.repairs = [=](segment& seg) {
    auto& journal = *seg.find<chain_journal>("journal");
    const auto undo = [&journal, clears](long bit) {
      return [&journal, bit, clears](chained_account& of, const owner_death&) {
        if ((journal.under_way & bit) == 0) return repaired;
        of.balance = of.before;
        crash_barrier();
        journal.under_way = journal.under_way & ~clears(bit);
        return repaired;
      };
    };
    return all_of(on_owner_death<chained_account>(seg, "first", undo(1)),
                  on_owner_death<chained_account>(seg, "second", undo(2)),
                  on_owner_death<chained_account>(seg, "third", undo(4)));
  };
  made.victim = &pay_along_the_chain;
  made.invariant = [](segment& seg) {
    long sum = 0;
    for (const char* const each : chained_names)
      sum += seg.find<guarded_chained>(each)->lock()->balance;
    return sum == 1500 ? std::string() : "the sum is " + std::to_string(sum) + ", not 1500";
  };
  return made;
}

}  // namespace outlive::killtest::testing
