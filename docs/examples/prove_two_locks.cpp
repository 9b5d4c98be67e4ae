// A transfer between two accounts with a lock each, and two repairs of it: the kill-test kit
// recovers the two locks in every order.
//
// A death leaves two locks to repair. Two processes may do that, at different times, so each repair
// mends its own account only. One word says which accounts still have to be rolled back. The first
// right-hand repair clears the whole word: if it comes first, the left account keeps the half of a
// transfer. In the other order nothing shows.
#include <array>
#include <atomic>
#include <iostream>
#include <string>

#include <outlive/crash_barrier.hpp>
#include <outlive/killtest/explore.hpp>
#include <outlive/outlive.hpp>

struct account {
  long balance = 500;  // invariant over both: the sum is 1000
};
using guarded_account = outlive::guarded<account>;

// Written under both locks. Repairs of the two locks run at the same time, hence the atomic word.
struct transfer {
  std::array<long, 2> before{};
  std::atomic<unsigned> undo{0};  // bit i: account i must become before[i]
};

enum which_account : unsigned { left, right };
constexpr std::array<const char*, 2> names{"left", "right"};

guarded_account& find(outlive::segment& seg, which_account which) {
  return *seg.find<guarded_account>(names[which]);
}

void move_money(outlive::segment& seg, long amount) {
  transfer& open = *seg.find<transfer>("transfer");
  auto [from, to] = outlive::lock(find(seg, left), find(seg, right));
  open.before = {from->balance, to->balance};
  OUTLIVE_CRASH_BARRIER();
  open.undo = 3;  // one store sets both bits
  OUTLIVE_CRASH_BARRIER();
  from->balance -= amount;
  OUTLIVE_CRASH_BARRIER();
  to->balance += amount;
  OUTLIVE_CRASH_BARRIER();
  open.undo = 0;  // one store clears both: the transfer has happened
}

void roll_back(outlive::segment& seg, which_account which) {
  transfer& open = *seg.find<transfer>("transfer");
  if ((open.undo & (1U << which)) == 0) return;
  find(seg, which).unguarded().balance = open.before[which];
  OUTLIVE_CRASH_BARRIER();
}

void wrong_repair(outlive::segment& seg, which_account which) {
  roll_back(seg, which);
  if (which == right) seg.find<transfer>("transfer")->undo = 0;  // "the last one clears it"
}

void right_repair(outlive::segment& seg, which_account which) {
  roll_back(seg, which);
  seg.find<transfer>("transfer")->undo &= ~(1U << which);  // its own bit
}

outlive::killtest::report prove(const char* name,
                                void (*repair)(outlive::segment&, which_account)) {
  outlive::killtest::scenario two_locks;
  two_locks.name = name;
  two_locks.make = [](outlive::segment& seg) {
    seg.find_or_construct<transfer>("transfer");
    for (const char* each : names) seg.find_or_construct<guarded_account>(each, "account");
  };
  two_locks.repairs = [=](outlive::segment& seg) {
    const auto for_one = [&seg, repair](which_account which) {
      return outlive::on_owner_death(find(seg, which).mutex(),
                                     [&seg, repair, which](const outlive::owner_death&) {
                                       repair(seg, which);
                                       return outlive::repaired;
                                     });
    };
    return outlive::killtest::all_of(for_one(left), for_one(right));
  };
  two_locks.victim = [](outlive::segment& seg) { move_money(seg, 10); };
  two_locks.invariant = [](outlive::segment& seg) {
    const auto [from, to] = outlive::lock(find(seg, left), find(seg, right));
    const long sum = from->balance + to->balance;
    return sum == 1000 ? std::string() : "the sum is " + std::to_string(sum) + ", not 1000";
  };
  outlive::killtest::explore_options how;
  how.depth = 3;  // the victim, and two heirs after it
  return outlive::killtest::explore(two_locks, how);
}

int main() {
  const auto of_wrong = prove("the wrong repair", &wrong_repair);
  const auto of_right = prove("the right repair", &right_repair);
  std::cout << of_wrong << '\n' << of_right;
  return !of_wrong.ok() && of_right.ok() ? 0 : 1;
}
