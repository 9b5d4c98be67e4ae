// The former dispositions of the recorded signals, and how to pass a signal on to them.
#pragma once

#include <signal.h>

#include <array>

namespace outlive::crash {

inline constexpr std::array recorded_signals{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

using handler = void (*)(int, siginfo_t*, void*);

// Installs `ours` in front of the present handlers. Throws std::system_error; then nothing has
// changed.
void install_handlers(handler ours);
// Restores the former dispositions of the signals that still have `ours`.
void restore_handlers(handler ours) noexcept;

enum class passed {
  to_nobody,   // it was ignored
  to_handler,  // the program's handler has returned
  to_death,    // return from the handler, and the default action follows
};
// In the handler: does what would have happened without ours. Async-signal-safe.
passed pass_on(int number, siginfo_t* info, void* context) noexcept;

// Whether this process sent the signal to itself, as abort() does.
bool is_own(const siginfo_t& info) noexcept;

}  // namespace outlive::crash
