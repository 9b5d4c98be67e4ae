// crash_recorder: before a signal kills a thread, the thread records which signal it was, at which
// address, and its stack. Repairs, the death log, supervisors and tools report this note.
//
// It is part of liboutlive-crash, a library of its own (pkg-config: outlive-crash). That library
// unwinds with libunwind, which it loads out of sight of the program: the program's C++ exceptions
// do not go through it.
//
//   int main() {
//     outlive::crash_recorder recorder;  // before threads are started
//     ...
//   }
//
// The recorder handles SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT, and does not change what they
// do. After the note, the former disposition applies:
//   - A handler of the program is called as the kernel would call it, with its mask, siginfo and
//     context. But it runs on the alternate stack, even if it did not ask for that.
//   - The default action kills with the same signal and dumps the same core. The faulting
//     instruction simply runs again.
//   - A signal that was ignored, and that a process sent, is ignored.
//
// A note needs three things:
//   - The crashing thread has a record, which means that it has locked something in a segment.
//   - If the thread overflows its stack, it has an alternate stack. A thread gets one from its
//     first lock in a segment after the recorder was made, and from this_thread(). A thread that
//     already has one keeps its own. The thread that makes the recorder gets one at once.
//   - Nobody replaces the handlers without calling the former ones.
// If a thread leaves its handler by longjmp and goes on, its note stays until its next lock, and
// until then counts as evidence of its death.
//
// The handler allocates nothing, and acquires no lock of the program or of the dynamic loader. It
// knows the modules that were loaded when a thread last got a record or called this_thread(). A
// second signal during the note ends the note, which keeps what it has and says that it was cut
// short.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <string>

#include <outlive/detail/export.hpp>

namespace outlive {

class crash_recorder {
 public:
  // Installs the handlers, unless the process has another recorder already. Gives the calling
  // thread its alternate stack.
  // Throws std::system_error (the system refuses a handler or the memory).
  // After fork: the child has the handlers, too. A note of its thread goes into the child's own
  //   record, which it gets with its first lock.
  OUTLIVE_API crash_recorder();
  // The destructor of the last recorder restores the former dispositions, except where somebody
  // else has replaced the handlers.
  OUTLIVE_API ~crash_recorder();
  crash_recorder(const crash_recorder&) = delete;
  crash_recorder& operator=(const crash_recorder&) = delete;

  // Gives the calling thread an alternate stack if it has none, and notes which modules are loaded.
  // Call it in a thread that may overflow its stack before its first lock, and after dlopen(). The
  // stack is freed when the thread ends. It works without a recorder, too.
  // Throws std::system_error (no memory).
  OUTLIVE_API static void this_thread();

  // Returns: why notes have only the instruction that crashed and no stack, in words; empty if they
  //   have stacks.
  [[nodiscard]] OUTLIVE_API static std::string problem();
};

}  // namespace outlive
