// scheduled_process: the side of a process that takes turns.
//
// The segment's pages are closed, from where the accesses count. Each instruction that loads from
// them or stores to them faults. The handler may stop there, then opens the page, lets the
// processor execute this one instruction (trap flag), and closes the page again. Calls that wait or
// wake are trapped (call_trap.hpp). So a process stops only where other processes can notice in
// which order things happen.
//
// The handlers read the segment by a second mapping, which is never closed.
#pragma once

#include <cstddef>
#include <functional>

#include "killtest/schedule/turns.hpp"

namespace outlive::killtest::detail {

// Where a process finds what it shares.
struct scheduled_memory {
  turns* shared;
  char* base;         // of the segment: a shared mapping
  const char* alias;  // of the same bytes
  std::size_t size;
  std::size_t closed_from;  // a page's begin: where the part begins whose accesses count
};

// Runs `body` as thread number `self`. Before it, the process stops (ready). At its end it stops
// (ends), and then ends without running exit handlers.
// Requires: a forked process with one thread, in the segment's present view.
// Throws: what `body` throws; std::system_error and std::runtime_error if this process cannot be
//   scheduled.
[[noreturn]] void run_in_turns(const scheduled_memory& memory, unsigned self,
                               const std::function<void()>& body);

}  // namespace outlive::killtest::detail
