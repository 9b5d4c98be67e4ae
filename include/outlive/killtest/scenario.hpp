// scenario: what a kill test is about. Four functions and a name.
//
// An example, whole, is in docs/examples/prove_a_repair.cpp.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <outlive/repair.hpp>
#include <outlive/segment.hpp>

namespace outlive::killtest {

// Small: each crash state is looked at whole.
[[nodiscard]] inline segment_options small_segment() {
  segment_options options;
  options.size = 64 * 1024;
  options.directory_capacity = 64;
  options.threads = 16;
  options.participants = 16;
  options.lock_classes = 32;
  // Heirs die one after the other here. The question is what they leave, not when outlive gives up.
  options.attempts = 63;
  return options;
}

// All four run in processes that explore() forks, but for `make`, which runs in the caller. So what
// they capture is a copy in each, and nothing that they change outside of the segment is seen by
// another: a repair, above all, must depend on the segment alone.
struct scenario {
  std::string name;

  // Makes the objects that are there before anybody dies. Called once, on a fresh segment.
  std::function<void(segment&)> make;

  // Registers the repairs, as each process of the program under test does. May be empty where none
  // is needed.
  std::function<std::vector<repair_registration>(segment&)> repairs;

  // The thread that dies: takes locks, changes data, releases. Called once, to its end; it dies
  // after each of its stores to the segment. It finds its objects by segment::find() or by address,
  // has one thread, and must do the same whenever it is run.
  std::function<void(segment&)> victim;

  // Whether all is well again, once an heir has recovered what was held. Returns: nothing; or, in
  // words, what is wrong.
  std::function<std::string(segment&)> invariant;

  // Bytes of the segment that are no part of the state: times, process ids. They differ from run to
  // run, and with them the states would. May be empty.
  std::function<std::vector<std::span<const std::byte>>(segment&)> ignored;

  segment_options options = small_segment();
};

// Several registrations as the vector that `repairs` returns: they can be moved, and not copied.
template <class... Registrations>
[[nodiscard]] std::vector<repair_registration> all_of(Registrations&&... each) {
  std::vector<repair_registration> all;
  all.reserve(sizeof...(each));
  (all.push_back(std::forward<Registrations>(each)), ...);
  return all;
}

}  // namespace outlive::killtest
