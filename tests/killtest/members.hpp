// An object with members of all kinds, and a scenario in which one of them differs from run to run.
// The tests of what the report says of the place are compiled with and without debugging
// information.
#pragma once

#include <unistd.h>

#include <array>
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/killtest/scenario.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {

struct numbered {
  long number = 0;
};

template <class Value, unsigned Count>
struct pair_of {
  Value one[Count] = {};
  Value other = {};
};

struct purse {
  int currency = 0;
  long balance = 0;
};

struct office : numbered {
  purse purses[4];
  std::array<purse, 3> reserves;
  pair_of<purse, 2> pair;
  long grid[2][3] = {};
  union {
    int small = 0;
    long large;
  };
  unsigned is_open : 3 = 0;
  unsigned is_late : 29 = 0;
};

using guarded_office = guarded<office>;

// `store` stores a number that differs from run to run.
inline scenario office_scenario(void (*store)(office& of, long differs)) {
  scenario made;
  made.name = "office";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_office>("office", "office"));
  };
  made.victim = [=](segment& seg) {
    store(*seg.find<guarded_office>("office")->lock(), ::getpid());
  };
  made.invariant = [](segment&) { return std::string(); };
  return made;
}

}  // namespace outlive::killtest::testing
