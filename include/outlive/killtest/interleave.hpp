// interleave: living threads beside a death.
//
// explore() kills one thread, and nobody else runs. interleave() runs several threads, one at a
// time, and decides who goes on: it tries the orders of what they do to the segment, one schedule
// after the other, with one death anywhere. What a waiter sees while the owner dies, what a client
// does beside a repair, and wake-ups that get lost, show only here.
//
// Each thread is a process of its own, with one thread. Between two accesses to the segment it runs
// at full speed; before each access, and before each system call that waits or wakes, it may have
// to stop for another one (a preemption). The search is bounded by their number, as most faults
// need few. Threads that wait sleep until they are woken. A wait ends by its time-out only when
// nobody can run, or when all who can do nothing but yield or spin. Time is virtual, so nothing
// depends on how fast the machine is. It stands still for a thread that asks for it in a loop while
// nobody sleeps. The same options make the same schedules.
//
// Schedules are interleavings: each store is seen by all at once. What a weaker memory order would
// allow on another processor is not seen.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/killtest/scenario.hpp>
#include <outlive/repair.hpp>
#include <outlive/segment.hpp>

namespace outlive::killtest {

// One of the threads that run beside each other.
struct scheduled_thread {
  std::string name;  // for the report

  // Called once, to its end. Must do the same in every run in which it sees the same bytes. It
  // reports that something is wrong by an exception. It starts no threads, and waits for nothing
  // but words of the segment: other processes sleep while it runs.
  std::function<void(segment&)> run;

  bool may_die = true;
};

struct concurrent_scenario {
  std::string name;

  // As in a scenario. Each thread registers the repairs before it runs.
  std::function<void(segment&)> make;
  std::function<std::vector<repair_registration>(segment&)> repairs{};

  std::vector<scheduled_thread> threads;  // 1 to 8

  // Checks that all is well, after an heir has recovered what was held: when all threads have ended
  // or died, and in between (while_free). Returns: nothing; or, in words, what is wrong.
  std::function<std::string(segment&)> invariant;

  segment_options options = small_segment();
};

struct interleave_options {
  // How often a thread is preempted where it could go on. It costs nothing to choose the next one
  // where a thread waits or ends.
  unsigned preemptions = 2;
  // How many of these may come at a plain load or store. The others come at lock operations: atomic
  // read-modify-writes, and system calls that wait or wake.
  unsigned at_plain_accesses = 1;
  // How many threads die.
  unsigned deaths = 1;

  // Whether threads may also be preempted, and die, at accesses to outlive's own records (header,
  // thread records, directory). To test outlive itself.
  bool own_records = false;

  // How many schedules are run. Those with fewer preemptions and deaths come first; of those with
  // equally many, a random choice (`seed`) if they are too many. report::cut says what was left.
  std::size_t max_schedules = 2000;
  std::uint64_t seed = 1;

  // A wait that goes on although nobody can run and nobody dies is a failure, also if its time-out
  // helps: somebody forgot to wake it. False: for code that means its time-outs to help.
  bool lost_wake_ups = true;
  // Whether the invariant is asked in between, too: where a thread stops while none has a mutex.
  // False: for an invariant that would wait for a thread that has stopped, such as a reader.
  bool while_free = true;

  // A thread that gets nowhere for so long, in virtual time, waits for ever.
  std::chrono::seconds patience{10};

  // How many accesses and calls all threads may make in one schedule, up to 131072. With more, the
  // one that runs is said to run for ever.
  std::size_t max_accesses = 50'000;

  // Of real time: how long a thread may run without an access to the segment.
  std::chrono::milliseconds time_limit{5000};

  // Runs this one schedule, as a report names it. Empty: searches. The environment variable
  // OUTLIVE_KILLTEST_SCHEDULE, "NAME: SCHEDULE", does so for the scenario of that name.
  std::string only{};
};

enum class schedule_fault {
  none,
  invariant_violated,  // the invariant said what is wrong
  not_exclusive,       // two threads had one mutex
  lost_wake_up,        // a thread slept on, and went on when it was woken without a reason
  waits_for_ever,      // nobody can run: a deadlock, or a wake-up that never comes
  runs_for_ever,       // a thread did not come to its end, nor to a wait
  threw,               // a thread ended by an exception
  crashed,             // a signal ended a thread
  repair_failed,       // the heir at the end could not recover what was held
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(schedule_fault which) noexcept;

struct interleave_report {
  std::string scenario;
  std::size_t schedules = 0;  // that were run
  // How many of them had 0, 1, 2 ... preemptions and deaths together.
  std::vector<std::size_t> by_switches;
  std::size_t deaths = 0;     // schedules in which a thread died
  std::size_t accesses = 0;   // to the segment, and calls, of all threads in all schedules
  std::size_t time_outs = 0;  // waits that ended so
  // Threads that went on only because a wait does not last for ever.
  std::size_t helped_by_time_out = 0;

  // Schedules whose threads did something else than in the run that the schedule comes from, and
  // went on by default. Then the threads do not depend on the segment's bytes alone.
  std::size_t diverged = 0;

  schedule_fault found = schedule_fault::none;
  std::string what;                // in words
  std::string schedule;            // the failing one
  std::vector<std::string> steps;  // of it: who ran up to where, and who died
  std::string command;             // runs it alone
  std::string cut;                 // what was left out, and which option says so
  std::string fault;               // why nothing could be run; empty otherwise

  // True if schedules were run, and none failed.
  [[nodiscard]] OUTLIVE_API bool ok() const noexcept;
  [[nodiscard]] OUTLIVE_API std::string summary() const;  // for people
};

OUTLIVE_API std::ostream& operator<<(std::ostream& to, const interleave_report& what);

// Returns: the report; the first failure ends the search.
// Requires: x86-64. The calling process may have other threads.
// Throws: what `make` throws; std::invalid_argument for a scenario without threads, with more than
//   8, or with an empty function, and for a schedule that is none; std::system_error if the system
//   refuses a process or memory.
// Blocks: until all schedules were run.
[[nodiscard]] OUTLIVE_API interleave_report interleave(const concurrent_scenario& what,
                                                       const interleave_options& how = {});

}  // namespace outlive::killtest
