// soak: workers run the victim of a scenario again and again, and are killed at random. It finds
// what explore() does not see.
//
// A soak has several processes at once, with waiters, heirs that are killed while others wait for
// them, and real timing. It does not replace explore(): explore() reaches every state of one
// victim, and a soak few of them. A bug that is a few instructions wide escapes it.
//
// The workers are the heirs of each other, and dead workers are replaced. At the end the living
// workers finish their round, an heir recovers what the dead left, and the invariant is checked.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <string>

#include <outlive/detail/export.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest {

struct soak_options {
  unsigned workers = 4;

  // Ends at the limit that is reached first.
  std::chrono::milliseconds time{2000};
  std::uint64_t max_kills = std::numeric_limits<std::uint64_t>::max();

  // The share of kills that happen when the worker is seen to hold a lock. The others happen at any
  // time.
  double aim = 0.5;
  // A random pause between two kills, from 0 to this.
  std::chrono::microseconds longest_pause{2000};

  // 0: a random seed. It selects the victims and times of the kills, but not how processes are
  // scheduled: the same seed tries again, and replays nothing.
  std::uint64_t seed = 0;

  // How long a worker may take to end when it is asked to, and the last heir to recover the rest.
  std::chrono::milliseconds time_limit{2000};
};

struct soak_report {
  std::string scenario;
  std::uint64_t seed = 0;
  std::uint64_t kills = 0;
  std::uint64_t aimed = 0;          // kills when the worker was seen to hold a lock
  std::uint64_t while_holding = 0;  // kills whose victim had a lock, by the segment's death log
  std::uint64_t repairs = 0;        // that succeeded
  std::uint64_t rounds = 0;         // how often a victim came to its end
  verdict result = verdict::ok;
  std::string what;  // what is wrong, in words
  // Why it proves nothing: no worker was killed, or none while holding a lock; empty otherwise.
  std::string fault;
  std::chrono::nanoseconds took{0};

  [[nodiscard]] OUTLIVE_API bool ok() const noexcept;
  [[nodiscard]] OUTLIVE_API std::string summary() const;
};
OUTLIVE_API std::ostream& operator<<(std::ostream& to, const soak_report& what);

// Requires: several processes can run the victim again and again at once. `workers` fit into the
//   scenario's options: a thread record and a participant for each, and some for those that are
//   dead and not yet recovered.
// Returns: the report. If a worker ends without being killed, or does not end when it should, the
//   soak ends with that verdict.
// Throws: what `make` throws; std::invalid_argument for no workers, an aim that is not from 0 to 1,
//   or a pause below 0; std::system_error if the system refuses a process or memory.
// Blocks: for the time given, and then until the workers and the last heir are done, each within
//   the limit. Prints the seed on stderr when it begins.
[[nodiscard]] OUTLIVE_API soak_report soak(const scenario& what, const soak_options& how = {});

}  // namespace outlive::killtest
