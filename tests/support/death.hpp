// The ways in which an owner of a lock can end.
//
// Some end the process, some only a thread; an exec ends the program but not the process.
// Destructors run only in `exit`, `thread_exit` and `thread_return`, where they would unlock: a
// victim must lock with plain lock(), without a guard.
#pragma once

#include <array>
#include <functional>
#include <string>

#include "support/child.hpp"

namespace outlive::testing {

enum class death {
  sigkill,
  exit_now,  // _exit
  exit,      // with atexit handlers and static destructors
  abort,
  segfault,
  // on the main thread: the process lives on as another program
  exec,
  // the same on another thread: its TID vanishes and the robust list with it (an orphan, A23)
  exec_from_thread,
  // pthread_exit; the process lives on
  thread_exit,
  // a thread's function returns; the process lives on
  thread_return,
  uncaught_exception,
};

inline constexpr std::array all_deaths{death::sigkill,
                                       death::exit_now,
                                       death::exit,
                                       death::abort,
                                       death::segfault,
                                       death::exec,
                                       death::exec_from_thread,
                                       death::thread_exit,
                                       death::thread_return,
                                       death::uncaught_exception};

/// "thread_exit"; also fit for the name of a parameterised test.
std::string name_of(death kind);

/// The process ends by itself, so that the parent can expect_end().
constexpr bool ends_process(death kind) {
  return kind != death::exec && kind != death::exec_from_thread && kind != death::thread_exit &&
         kind != death::thread_return;
}
/// Another program runs in the process afterwards, until it is killed or 60 s are over.
constexpr bool ends_in_exec(death kind) {
  return kind == death::exec || kind == death::exec_from_thread;
}
/// The process and its other threads live on.
constexpr bool ends_thread(death kind) {
  return kind == death::thread_exit || kind == death::thread_return;
}
/// Whether the kernel releases the robust mutexes of a thread that dies like this.
constexpr bool is_noticed(death kind) {
  return kind != death::exec_from_thread;
}

/// Dies on the spot. thread_return cannot be done from within (logic_error), exec_from_thread only
/// on a thread that is not the main one, exec only on the main one.
[[noreturn]] void die(death kind);

/// Runs `before` (which acquires the locks) on the thread that this kind needs, and dies there.
/// Returns only for the two thread kinds, on the calling thread, once the other thread is gone.
void run_then_die(death kind, const std::function<void()>& before);

/// Waits in the parent until the death that the child chose has happened, and reaps it if possible.
/// A child whose death only ended a thread must send "thread gone" after run_then_die.
void expect_end(child& victim, death kind, source_line at = source_line::here());

/// Replaces the program by one that does nothing: /bin/true, or /bin/sleep 60 if the process shall
/// live on.
[[noreturn]] void exec_other_program(bool live_on);

/// Lets signals that sanitizers and tests handle kill the process as in a plain program.
void restore_fatal_signals();

}  // namespace outlive::testing
