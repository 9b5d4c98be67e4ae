// Two repairs of the same transfer: the kill-test kit shows which one is right.
//
// Both roll back by an undo journal. The first clears the journal's mark before it has restored the
// balances: a death in between leaves a half restored account and no journal. Only a second death,
// that of the heir, shows this.
#include <atomic>
#include <iostream>
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/killtest/explore.hpp>

struct bank {  // invariant: a + b == 1000
  long a = 500;
  long b = 500;
  long old_a = 0;
  long old_b = 0;
  bool under_way = false;  // a and b must become old_a and old_b
};

// The compiler may not move stores across it. A killed thread has done all stores before the kill,
// and none after.
void crash_barrier() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void transfer(bank& x, long amount) {
  x.old_a = x.a;
  x.old_b = x.b;
  crash_barrier();
  x.under_way = true;
  crash_barrier();
  x.a -= amount;
  crash_barrier();
  x.b += amount;
  crash_barrier();
  x.under_way = false;
}

outlive::repair_result wrong_repair(bank& x, const outlive::owner_death&) {
  if (!x.under_way) return outlive::repaired;
  x.under_way = false;
  crash_barrier();
  x.a = x.old_a;
  crash_barrier();
  x.b = x.old_b;
  return outlive::repaired;
}

outlive::repair_result right_repair(bank& x, const outlive::owner_death&) {
  if (!x.under_way) return outlive::repaired;
  x.a = x.old_a;
  crash_barrier();
  x.b = x.old_b;
  crash_barrier();
  x.under_way = false;
  return outlive::repaired;
}

outlive::killtest::report prove(const char* name,
                                outlive::repair_result (*repair)(bank&,
                                                                 const outlive::owner_death&)) {
  outlive::killtest::scenario bank_scenario;
  bank_scenario.name = name;
  bank_scenario.make = [](outlive::segment& seg) {
    seg.find_or_construct<outlive::guarded<bank>>("accounts", "account");
  };
  bank_scenario.repairs = [=](outlive::segment& seg) {
    return outlive::killtest::all_of(outlive::on_owner_death<bank>(seg, "account", repair));
  };
  bank_scenario.victim = [](outlive::segment& seg) {
    transfer(*seg.find<outlive::guarded<bank>>("accounts")->lock(), 1);
  };
  bank_scenario.invariant = [](outlive::segment& seg) {
    const auto x = seg.find<outlive::guarded<bank>>("accounts")->lock();
    return x->a + x->b == 1000 ? std::string()
                               : "a + b is " + std::to_string(x->a + x->b) + ", not 1000";
  };
  return outlive::killtest::explore(bank_scenario);
}

int main() {
  const auto wrong = prove("the wrong repair", &wrong_repair);
  const auto right = prove("the right repair", &right_repair);
  std::cout << wrong << '\n' << right;
  return !wrong.ok() && right.ok() ? 0 : 1;
}
