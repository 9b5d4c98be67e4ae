// scenario: the subject of a kill test. Four functions and a name.
//
// docs/examples/prove_a_repair.cpp is a complete example.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

namespace outlive::killtest {

// Small, because each crash state is examined whole.
[[nodiscard]] inline segment_options small_segment() {
  segment_options options;
  options.size = 64 * 1024;
  options.directory_capacity = 64;
  options.threads = 16;
  options.participants = 16;
  options.lock_classes = 32;
  // Heirs die one after the other here. The question is what they leave, not when outlive gives up.
  // What a repair does at its last attempt is tried once for each state of the victim's death.
  options.attempts = 63;
  return options;
}

// `make` runs in the caller; the others run in processes that explore() forks. Each process has its
// own copy of what they capture, and does not see what another changes outside of the segment. In
// particular, a repair must depend on the segment alone.
struct scenario {
  std::string name;

  // Constructs the objects that exist before anybody dies. Called once, on a fresh segment.
  std::function<void(segment&)> make;

  // Registers the repairs, as each process of the program under test does. May be empty if no
  // repair is needed.
  std::function<std::vector<repair_registration>(segment&)> repairs{};

  // The thread that dies: acquires locks, changes data, releases. Called once, to its end; it dies
  // after each of its stores to the segment. It finds its objects by segment::find() or by address,
  // has one thread, and must do the same in every run.
  std::function<void(segment&)> victim;

  // Checks that all is well again after an heir has recovered what was held. Returns: nothing; or,
  // in words, what is wrong.
  std::function<std::string(segment&)> invariant;

  // Looks at a crash state as the death left it, before the heir recovers anything, and changes
  // nothing. Returns: nothing; or, in words, what is wrong. May be empty.
  std::function<std::string(segment&)> before_recovery{};

  // A living thread that comes between two repairs. Called in each crash state in which a mutex is
  // left to recover, once for each other mutex that the victim acquires and that needs no repair
  // there: one that an heir has just recovered, or one that nobody held. It acquires `free` and no
  // mutex that the dead left, looks at what `free` protects, releases it, and changes nothing.
  // After that an heir recovers the rest. Shared mutexes are left out. Returns: nothing; or, in
  // words, what is wrong. May be empty.
  std::function<std::string(segment&, const robust_mutex& free)> living_client{};

  // Bytes of the segment that do not belong to the state, such as times and process ids. They
  // differ from run to run, and would make equal states different. May be empty.
  std::function<std::vector<std::span<const std::byte>>(segment&)> ignored{};

  segment_options options = small_segment();
};

// Collects registrations in the vector that `repairs` returns, because they can be moved but not
// copied.
template <class... Registrations>
[[nodiscard]] std::vector<repair_registration> all_of(Registrations&&... each) {
  std::vector<repair_registration> all;
  all.reserve(sizeof...(each));
  (all.push_back(std::forward<Registrations>(each)), ...);
  return all;
}

}  // namespace outlive::killtest
