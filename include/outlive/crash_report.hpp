// crash_report: what a thread recorded about the signal that killed it.
//
// A report exists if the process had a crash_recorder (<outlive/crash_recorder.hpp>,
// liboutlive-crash) and the signal was SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT. A process that
// is killed from outside leaves none.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/thread_stack.hpp>

namespace outlive {

struct crash_report {
  int signal = 0;
  int code = 0;                     // si_code: what kind of SIGSEGV and the like
  std::uint64_t address = 0;        // si_addr: of the access, or of the instruction; 0 for SIGABRT
  bool nested = false;              // a second signal interrupted the note: frames may be missing
  std::vector<stack_frame> frames;  // the instruction that crashed first, then return addresses

  bool operator==(const crash_report&) const = default;
};

// Fills in missing function names of the frames from the symbol tables of the modules' files, if a
// file has the build id of the frame. Reads files; throws nothing but std::bad_alloc.
OUTLIVE_API void name_functions(crash_report& crash);

// Returns: "SIGSEGV (address not mapped) at 0x10", in one line, without the frames. The address is
//   left out if the signal has none.
[[nodiscard]] OUTLIVE_API std::string to_string(const crash_report& crash);

}  // namespace outlive
