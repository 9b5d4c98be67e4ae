// fault_scout: logs each store that the calling thread makes to the segment, from inside of its
// process.
//
// The segment is write-protected, by its pages or by a protection key (write_guard). A store
// faults; the handler opens its page, lets the processor execute this one instruction (trap flag),
// compares the page with what was there, logs the difference if there is one, and closes the page
// again. Everything else runs at full speed. An instruction that stores in several steps (rep movs)
// traps after each, so that each is a store of its own.
//
// Limit: a system call that writes into the segment gets EFAULT instead; the explorer finds that
// out, and uses the step scout instead. Works for one thread: others of the process fault, too, and
// are not logged soundly.
#pragma once

#include <cstddef>

#include <outlive/killtest/report.hpp>

#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// Where the process is to end by a real SIGKILL: after so many stores that it has executed, or
// right before the next one.
struct fault_kill {
  std::size_t stores = 0;
  bool before_next = false;
  // Called there in place of the SIGKILL, in a signal handler, the segment writable again. It does
  // not return; it may jump out of the handler.
  void (*instead)() = nullptr;
};

// Begins to log, by page protection or protection keys; what is in the log already was set-up. One
// in a process, by its only thread. `kill` may be nullptr. Throws std::system_error.
void begin_logging(engine how, store_log& log, char* base, std::size_t size,
                   const fault_kill* kill);

// Ends it; the segment can be written again. Returns: nullptr, or why the log cannot be believed.
const char* end_logging();

}  // namespace outlive::killtest::detail
