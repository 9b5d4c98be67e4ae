// explore: kills the victim of a scenario after each of its stores, and lets an heir repair what it
// left.
//
// How: the victim runs once, in a process of its own, and each of its stores to the segment is
// logged. A death after the n-th is then made from the log: the first n stores, and of each mutex
// that the victim had, FUTEX_OWNER_DIED, as the kernel writes it. Of equal states one is kept. An
// heir recovers each, the invariant is asked, and the heir dies, too, after each of its stores,
// until no new state comes. Failing states, and a sample of the others, are made once more by a
// real SIGKILL.
//
// That is sound because a SIGKILL takes effect between two instructions: the bytes that it leaves
// are the stores up to there, in program order. What is not seen: stores of other threads on behalf
// of the victim, and what is not in the segment (files, pipes).
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include <outlive/export.hpp>
#include <outlive/killtest/code_build.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest {

struct explore_options {
  engine with = engine::automatic;

  // A process for each state, instead of one for all: for repairs that change something outside of
  // the segment.
  bool isolate = false;

  // How long an heir may take for one state, and the victim without a log; ten times as long while
  // stores are logged, by single steps a hundred times.
  std::chrono::milliseconds time_limit{5000};

  // How many deaths in a row: 1 for the victim's alone, 2 for that of an heir in its repair, too.
  unsigned depth = 8;

  std::size_t max_states = 1'000'000;  // distinct ones
  std::size_t max_hung = 3;            // states whose heir hung; then it ends

  // How many passing states a real SIGKILL confirms. Failing states are all confirmed, up to as
  // many.
  std::size_t confirm = 32;
  std::uint64_t seed = 1;  // which ones

  // Whether the victim's first use of the segment is a part of it: the claim of its thread record.
  bool from_first_use = false;

  // Whether states that differ only in outlive's own books (which record, how many attempts, the
  // death log) are different ones after the victim's death. To explore outlive itself.
  bool own_books = false;

  // Whether functions and source lines are looked up when nothing failed: for reports as files.
  // Where something failed, they always are.
  bool sources = true;

  // Where images of failing states go (crash-HASH.seg, at most 16); empty: nowhere.
  std::string images;
};

// `built`: how the code of the scenario was compiled; nobody needs to say it whose scenario is in
// the calling file.
// Requires: called by no repair. The calling process may have other threads.
// Returns: the report, with a warning where the code was not optimised. One without any crash state
//   is not ok().
// Throws: what `make` throws; std::system_error when processes or memory cannot be had.
// Blocks: until all is explored; a progress line on stderr, if that is a terminal, after two
//   seconds.
[[nodiscard]] OUTLIVE_API report explore(const scenario& what, const explore_options& how = {},
                                         code_build built = this_build);

}  // namespace outlive::killtest
