// explore: kills the victim of a scenario after each of its stores, and lets an heir repair what is
// left.
//
// The victim runs once, in a process of its own, and each of its stores to the segment is logged.
// From the log explore() makes the state after a death at each store: the first n stores, and
// FUTEX_OWNER_DIED in each mutex that the victim held, as the kernel writes it. Equal states are
// kept once. An heir recovers each state, and the invariant is checked. The heir dies, too, after
// each of its stores, until no new state appears. Failing states, and a sample of the others, are
// reproduced by a real SIGKILL.
//
// This is sound because a SIGKILL takes effect between two instructions: the bytes that it leaves
// are the stores up to there, in program order. A victim has one thread: of another one's stores it
// sees one order, or just the end. It sees nothing outside of the segment (files, pipes).
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include <outlive/detail/export.hpp>
#include <outlive/killtest/code_build.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest {

struct explore_options {
  engine with = engine::automatic;

  // Uses one process for each state instead of one for all: for repairs that change something
  // outside of the segment.
  bool isolate = false;

  // How long an heir may take for one state, and the victim without a log. Who is ready to run
  // after that, and has not used as much processor time, gets up to ten times as long; time for
  // which others had the processors does not count. The limit is ten times as long while stores
  // are logged, and a hundred times by single steps.
  std::chrono::milliseconds time_limit{5000};

  // How long the search may take. When it is over, what was found is confirmed and reported, and
  // report::cut says what was left out. 0: no limit. The environment variable
  // OUTLIVE_KILLTEST_BUDGET, in seconds, takes the place of this value.
  std::chrono::milliseconds budget{30'000};

  // How many deaths in a row: 1 for the victim's alone, 2 to kill an heir in its repair, too.
  unsigned depth = 8;

  // Where a death leaves several mutexes to repair, one heir may recover one of them, and others
  // the rest. recover() begins with one of them; each of the others, up to so many of one state, is
  // recovered first, and alone, by an heir of its own. The heirs after that one begin with each of
  // the rest, and so on: every order. 0: recover() decides the order.
  unsigned max_alone = 8;

  std::size_t max_states = 1'000'000;  // distinct states
  std::size_t max_hung = 3;            // states whose heir hung; then explore() ends

  // How many passing states a real SIGKILL confirms. Failing states are all confirmed, up to as
  // many.
  std::size_t confirm = 32;
  std::uint64_t seed = 1;  // which ones

  // Whether to include the victim's first use of the segment, in which it claims its thread record.
  bool from_first_use = false;

  // Whether states count as different, after the victim's death, if they differ only in outlive's
  // own records (which record, how many attempts, the death log). To explore outlive itself.
  bool own_records = false;

  // Whether to look up functions and source lines even if nothing failed: for reports as files. If
  // something failed, they are always looked up.
  bool sources = true;

  // Ends when the state with this hash (crash_state::hash) has been judged, and reports that one
  // alone. 0: all states.
  std::uint64_t only_state = 0;

  // The folder for this scenario's part of the coverage of a test run
  // (<outlive/killtest/coverage.hpp>); empty: no part. The environment variable
  // OUTLIVE_KILLTEST_COVERAGE takes the place of this value.
  std::string coverage{};

  // Where to write images of failing states (crash-HASH.seg, at most 16); empty: nowhere.
  std::string images{};
};

// `built`: how the code of the scenario was compiled; omit it if the scenario is defined in the
// calling file.
// Requires: no repair calls this. The calling process may have other threads.
// Returns: the report, with a warning if the code was not optimised. A report without any crash
//   state is not ok().
// Throws: what `make` throws; std::system_error if the system refuses a process or memory.
// Blocks: until everything is explored. After two seconds it shows a progress line on stderr, if
//   that is a terminal.
[[nodiscard]] OUTLIVE_API report explore(const scenario& what, const explore_options& how = {},
                                         code_build built = this_build);

}  // namespace outlive::killtest
