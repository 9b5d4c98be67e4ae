// Two accounts, each behind a lock of its own, and a transfer that holds both: the journal is in
// the first, and names the other.
#pragma once

#include <string>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {

struct account {
  long money = 500;
};

struct ledger {
  long money = 500;
  long valid = 0;
  long here = 0;   // what was here,
  long there = 0;  // and in the other account
};

inline void transfer_between(segment& seg, long amount) {
  auto from = seg.find<guarded<ledger>>("from")->lock();
  from->here = from->money;
  crash_barrier();
  auto to = seg.find<guarded<account>>("to")->lock();
  from->there = to->money;
  crash_barrier();
  from->valid = 1;
  crash_barrier();
  from->money -= amount;
  crash_barrier();
  to->money += amount;
  crash_barrier();
  from->valid = 0;
}

// Whoever has the ledger's lock after its owner's death has the other account to himself, too: its
// lock is taken inside of the ledger's alone.
inline repair_result undo_both(segment& seg, ledger& of) {
  if (of.valid == 0) return repaired;
  seg.find<guarded<account>>("to")->unguarded().money = of.there;
  crash_barrier();
  of.money = of.here;
  crash_barrier();
  of.valid = 0;
  return repaired;
}

inline scenario nested_scenario(bool mended) {
  scenario made;
  made.name = "nested accounts";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<ledger>>("from", "ledger"));
    static_cast<void>(seg.find_or_construct<guarded<account>>("to", "account"));
  };
  made.repairs = [=](segment& seg) {
    return all_of(on_owner_death<ledger>(seg, "ledger",
                                         [=, &seg](ledger& of, const owner_death&) {
                                           if (mended) return undo_both(seg, of);
                                           of.valid = 0;
                                           return repaired;
                                         }),
                  on_owner_death<account>(seg, "account", always_consistent));
  };
  made.victim = [](segment& seg) { transfer_between(seg, 1); };
  made.invariant = [](segment& seg) {
    auto from = seg.find<guarded<ledger>>("from")->lock();
    auto to = seg.find<guarded<account>>("to")->lock();
    const long sum = from->money + to->money;
    return sum == 1000 ? std::string() : "the sum is " + std::to_string(sum) + ", not 1000";
  };
  return made;
}

}  // namespace outlive::killtest::testing
