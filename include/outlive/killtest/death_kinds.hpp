// try_death_kinds: lets the victim of a scenario die in every way in which a thread can end, once
// for each lock that it takes.
//
// explore() kills by SIGKILL alone: which bytes a death leaves does not depend on its kind. What
// does depend on it is whether the heirs learn of it: the kernel notices some deaths and not
// others, and a thread that ends in an orderly way gives its thread record back. So here are few
// places and many kinds: for each lock that the victim takes, the first change to what the lock
// protects (or, if there is none before the next lock, the lock itself), real processes, real
// deaths, and a fresh heir after each, which recovers everything and is asked for the invariant.
//
// The victim's stack is not unwound in any of them: no guard gives its mutex back. An exception
// that is caught, and pthread_exit() inside of a function with guards, are no owner deaths: there
// the mutex is released, whatever it protects, and no repair is due.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/export.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest {

enum class death_kind {
  sigkill,      // SIGKILL
  segv,         // a store to address 0
  abort,        // std::abort()
  exit_now,     // _exit(1)
  exception,    // one that nobody catches, on a second thread: std::terminate()
  thread_exit,  // pthread_exit() of a second thread; the process lives on
  exec,         // the main thread executes another program; the process lives on
  // The same by a second thread. The kernel does not mark its mutexes: heirs adopt them.
  exec_from_thread,
  cpu_limit,  // RLIMIT_CPU: takes a second each
  // The out-of-memory killer of a memory cgroup; skipped where no cgroup can be made.
  memory_limit,
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(death_kind which) noexcept;
[[nodiscard]] OUTLIVE_API std::vector<death_kind> all_death_kinds();

struct death_options {
  std::vector<death_kind> kinds = all_death_kinds();

  // How long an heir may take for one state; ten times as long for a victim.
  std::chrono::milliseconds time_limit{2000};
};

// One death.
struct tried_death {
  death_kind kind{};
  std::size_t lock = 0;  // 1: the first lock that the victim took
  std::string mutex;     // its name
  verdict result = verdict::ok;
  std::string what;           // what is wrong, in words
  bool marked = false;        // whether the kernel marked the mutex; if not, the heir adopted it
  std::size_t recovered = 0;  // mutexes that the dead had in hand
  std::size_t repaired = 0;
};

struct skipped_kind {
  death_kind kind{};
  std::string why;
};

struct death_report {
  std::string scenario;
  std::size_t locks = 0;  // that the victim takes
  std::vector<tried_death> deaths;
  std::vector<skipped_kind> skipped;
  std::string fault;  // why nobody could die; empty otherwise
  std::chrono::nanoseconds took{0};

  // True when somebody died, and all came out well. Kinds that were skipped do not count; summary()
  // tells them.
  [[nodiscard]] OUTLIVE_API bool ok() const noexcept;
  [[nodiscard]] OUTLIVE_API std::size_t failed() const noexcept;
  [[nodiscard]] OUTLIVE_API std::string summary() const;
};
OUTLIVE_API std::ostream& operator<<(std::ostream& to, const death_report& what);

// The engine is page protection, and no other: the store at which to die must be come to in the
// process that dies, by a thread of its own for some kinds.
// Requires: called by no repair. The calling process may have other threads. The victim makes no
//   system calls that write into the segment.
// Returns: the report. A victim that takes no lock is a fault.
// Throws: what `make` throws; std::system_error when processes or memory cannot be had.
// Blocks: for all the deaths, each within the limit.
[[nodiscard]] OUTLIVE_API death_report try_death_kinds(const scenario& what,
                                                       const death_options& how = {});

}  // namespace outlive::killtest
