// try_death_kinds: lets the victim of a scenario die in every way in which a thread can end, once
// for each lock that it acquires.
//
// explore() kills only by SIGKILL, because the bytes that a death leaves do not depend on its kind.
// Whether heirs notice the death does depend on it: the kernel notices some deaths and not others,
// and a thread that ends in an orderly way frees its thread record. So here the places are few and
// the kinds many. For each lock of the victim, the place is the first change to what the lock
// protects, or the lock itself if there is no change before the next lock. Real processes die
// there, and after each death a fresh heir recovers everything and checks the invariant.
//
// No kind unwinds the victim's stack, so no guard releases its mutex. An exception that is caught,
// and pthread_exit() in a function with guards, are no owner deaths: they release the mutex,
// whatever it protects, and no repair is due.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/detail/export.hpp>
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
  // The out-of-memory killer of a memory cgroup; skipped if no cgroup can be made.
  memory_limit,
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(death_kind which) noexcept;
[[nodiscard]] OUTLIVE_API std::vector<death_kind> all_death_kinds();

struct death_options {
  std::vector<death_kind> kinds = all_death_kinds();

  // How long an heir may take for one state. A victim may take ten times as long.
  std::chrono::milliseconds time_limit{2000};
};

// One death.
struct tried_death {
  death_kind kind{};
  std::size_t lock = 0;  // 1: the first lock that the victim acquired
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
  std::size_t locks = 0;  // that the victim acquires
  std::vector<tried_death> deaths;
  std::vector<skipped_kind> skipped;
  std::string fault;  // why no death could be tried; empty otherwise
  std::chrono::nanoseconds took{0};

  // True if a victim died, and every death came out well. Skipped kinds do not count; summary()
  // lists them.
  [[nodiscard]] OUTLIVE_API bool ok() const noexcept;
  [[nodiscard]] OUTLIVE_API std::size_t failed() const noexcept;
  [[nodiscard]] OUTLIVE_API std::string summary() const;
};
OUTLIVE_API std::ostream& operator<<(std::ostream& to, const death_report& what);

// The engine is always page protection.
// Requires: no repair calls this. The calling process may have other threads. The victim makes no
//   system calls that write into the segment.
// Returns: the report. It has a fault if the victim acquires no lock.
// Throws: what `make` throws; std::system_error if the system refuses a process or memory.
// Blocks: for all the deaths, each within the limit.
[[nodiscard]] OUTLIVE_API death_report try_death_kinds(const scenario& what,
                                                       const death_options& how = {});

}  // namespace outlive::killtest
