// crash_recorder: a thread that a signal kills says so first, in its records, so that heirs, the
// death log, supervisors and tools can tell of it: which signal, at which address, and the stack.
//
// Of liboutlive-crash, a library of its own (pkg-config: outlive-crash). It unwinds with libunwind,
// which it loads behind everybody's back: the program's C++ exceptions do not go through it.
//
//   int main() {
//     outlive::crash_recorder recorder;   // before threads are started
//     ...
//   }
//
// It handles SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT, and changes nothing about what they do:
// after the note the disposition that was there before has its turn. A handler of the program's own
// is called as the kernel would have called it, with its mask, siginfo and context (but on the
// alternate stack, whether it asked for that or not). The default action kills with the same signal
// and dumps the same core; the instruction that faulted is simply run again. A signal that was
// ignored, and that a process sent, is ignored.
//
// What has to be true for a note:
//   - the crashing thread has a record (it has locked something in a segment). Without one there is
//     nobody to tell.
//   - it has an alternate stack, if what crashes it is the end of its stack. A thread gets one with
//     its first lock in a segment after the recorder was made, and by this_thread(); a thread that
//     has one already keeps its own. The thread that makes the recorder has one at once.
//   - nobody replaces the handlers without calling the former ones.
// A thread that leaves its handler by longjmp goes on: its note stands until its next lock, and is
// evidence of its death until then.
//
// In the handler nothing is allocated and no lock of the program or of the dynamic loader is taken:
// the modules are those that were loaded when a thread last got a record (or called this_thread()),
// and memory is read by system calls that fail where there is none. A second signal while the note
// is written ends the writing; the note keeps what it has, and says so.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <string>

#include <outlive/export.hpp>

namespace outlive {

class crash_recorder {
 public:
  // Installs the handlers; of several recorders in a process the first does. Gives the calling
  // thread its alternate stack.
  // Throws std::system_error (the system refuses a handler or the memory).
  // After fork: the child has the handlers, too. Its thread's note goes into the child's own
  //   record, which it gets with its first lock.
  OUTLIVE_API crash_recorder();
  // The last recorder's end puts the former dispositions back, where nobody else has replaced ours.
  OUTLIVE_API ~crash_recorder();
  crash_recorder(const crash_recorder&) = delete;
  crash_recorder& operator=(const crash_recorder&) = delete;

  // Gives the calling thread an alternate stack if it has none, and looks which modules are loaded:
  // for a thread that should be able to tell of the end of its stack before its first lock, and
  // after dlopen(). It is freed at the thread's end. Without a recorder: as well.
  // Throws std::system_error (no memory).
  OUTLIVE_API static void this_thread();

  // Returns: why notes have no stacks, only the instruction that crashed, in words; empty if they
  //   have.
  [[nodiscard]] OUTLIVE_API static std::string problem();
};

}  // namespace outlive
