// fault_scout: logs each store that the calling thread makes to the segment, inside its process.
//
// The segment is write-protected, by its pages or by a protection key (write_guard). A store
// faults. The handler makes the store of a common form of mov itself (plain_store), and goes on
// behind the instruction. For all others it opens the page, lets the processor execute this one
// instruction (trap flag), compares the page with its former bytes, and closes the page again. It
// logs the difference if there is one. All other code runs at full speed. An instruction that
// stores in several steps (rep movs) traps after each, so each step is a store of its own.
//
// Limits: a system call that writes into the segment gets EFAULT; the explorer notices and uses the
// step scout instead. Only one thread is logged soundly; others of the process fault, too.
#pragma once

#include <cstddef>

#include <outlive/killtest/report.hpp>

#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// Where a real SIGKILL ends the process: after so many executed stores, or right before the next
// one.
struct fault_kill {
  std::size_t stores = 0;
  bool before_next = false;
  // Called there instead of the SIGKILL, in a signal handler, with the segment writable. It does
  // not return, but may jump out of the handler.
  void (*instead)() = nullptr;
};

// Begins to log by page protection or protection keys. What is in the log already was set-up. Once
// in a process, by its only thread. `shared_with`: the file, if others see the stores; -1 if the
// view is private. `kill` may be nullptr. Throws std::system_error.
void begin_logging(engine how, store_log& log, char* base, std::size_t size, int shared_with,
                   const fault_kill* kill);

// Of OUTLIVE_CRASH_BARRIER(). Does nothing in a process that is not logged.
void note_barrier(const char* file, unsigned line) noexcept;

// Ends logging and makes the segment writable. Returns: nullptr, or why the log is not sound.
const char* end_logging();

}  // namespace outlive::killtest::detail
