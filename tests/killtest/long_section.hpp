// A table whose cells are all changed in one critical section, each after its old value was put
// into a journal: 2,000 stores.
#pragma once

#include <string>

#include <outlive/guarded.hpp>
#include <outlive/killtest/scenario.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {

struct table {
  // three stores for each
  static constexpr std::size_t cells = 664;
  // so many of the old values count; 0: nothing is under way
  std::size_t journalled = 0;
  long cell[cells] = {};
  long old[cells] = {};

  table() noexcept {
    // so that each store into `old` changes something
    for (std::size_t i = 0; i < cells; ++i) cell[i] = 1;
  }
};

[[gnu::noinline]] inline void add_to_all(table& of, long amount) {
  for (std::size_t i = 0; i < table::cells; ++i) {
    of.old[i] = of.cell[i];
    crash_barrier();
    of.journalled = i + 1;
    crash_barrier();
    of.cell[i] += amount;
    crash_barrier();
  }
  of.journalled = 0;
}

inline repair_result roll_back(table& of, const owner_death&) {
  for (std::size_t i = of.journalled; i-- > 0;) {
    of.cell[i] = of.old[i];
    crash_barrier();
    of.journalled = i;
    crash_barrier();
  }
  return repaired;
}

// What must be found: one of the stores is missing.
inline repair_result roll_back_all_but_one(table& of, const owner_death&) {
  for (std::size_t i = of.journalled; i-- > 0;) {
    if (i != table::cells / 2) of.cell[i] = of.old[i];
    crash_barrier();
    of.journalled = i;
    crash_barrier();
  }
  return repaired;
}

inline std::string all_cells_are_equal(const table& of) {
  for (std::size_t i = 1; i < table::cells; ++i) {
    if (of.cell[i] != of.cell[0])
      return "cell " + std::to_string(i) + " is " + std::to_string(of.cell[i]) + ", and cell 0 " +
             std::to_string(of.cell[0]);
  }
  return of.journalled == 0 ? std::string() : "a change is still under way";
}

inline scenario long_section_scenario(repair_result (*repair)(table&,
                                                              const owner_death&) = &roll_back) {
  scenario made;
  made.name = "2,000 stores";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<table>>("table", "table"));
  };
  made.repairs = [=](segment& seg) { return all_of(on_owner_death<table>(seg, "table", repair)); };
  made.victim = [](segment& seg) { add_to_all(*seg.find<guarded<table>>("table")->lock(), 1); };
  made.invariant = [](segment& seg) {
    return all_cells_are_equal(*seg.find<guarded<table>>("table")->lock());
  };
  return made;
}

}  // namespace outlive::killtest::testing
