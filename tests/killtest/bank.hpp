// The example of the guide: two accounts, a transfer with an undo journal, and repairs of it.
#pragma once

#include <atomic>
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest::testing {

struct journal {
  long valid = 0;
  long a = 0;
  long b = 0;
};

struct bank {
  long a = 500;
  long b = 500;
  journal undo;
};

// Orders two stores of a thread that may be killed in between. Without it gcc makes one store of 16
// bytes of two counters that lie side by side, and nobody can be killed in the middle.
inline void crash_barrier() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

[[gnu::noinline]] inline void transfer(bank& of, long amount) {
  of.undo.a = of.a;
  of.undo.b = of.b;
  crash_barrier();
  of.undo.valid = 1;
  crash_barrier();
  of.a -= amount;
  crash_barrier();
  of.b += amount;
  crash_barrier();
  of.undo.valid = 0;
}

inline repair_result undo_in_order(bank& of, const owner_death&) {
  if (of.undo.valid == 0) return repaired;
  of.a = of.undo.a;
  crash_barrier();
  of.b = of.undo.b;
  crash_barrier();
  of.undo.valid = 0;
  return repaired;
}

inline repair_result clear_flag_first(bank& of, const owner_death&) {
  if (of.undo.valid == 0) return repaired;
  of.undo.valid = 0;
  crash_barrier();
  of.a = of.undo.a;
  crash_barrier();
  of.b = of.undo.b;
  return repaired;
}

inline std::string sum_is_kept(const bank& of) {
  return of.a + of.b == 1000 ? std::string()
                             : "a + b is " + std::to_string(of.a + of.b) + ", not 1000";
}

inline scenario bank_scenario(repair_result (*repair)(bank&, const owner_death&),
                              void (*move)(bank&, long) = &transfer) {
  scenario made;
  made.name = "bank";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<bank>>("accounts", "account"));
  };
  made.repairs = [=](segment& seg) { return all_of(on_owner_death<bank>(seg, "account", repair)); };
  made.victim = [=](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    move(*held, 1);
  };
  made.invariant = [](segment& seg) {
    return sum_is_kept(*seg.find<guarded<bank>>("accounts")->lock());
  };
  return made;
}

}  // namespace outlive::killtest::testing
