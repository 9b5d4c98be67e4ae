// What was to happen at each of the recorded signals before we came, and how it is made to happen.
#pragma once

#include <signal.h>

#include <array>

namespace outlive::crash {

inline constexpr std::array recorded_signals{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

using handler = void (*)(int, siginfo_t*, void*);

// Puts `ours` before the present handlers. Throws std::system_error; then nothing has changed.
void install_handlers(handler ours);
// Puts the former dispositions back where `ours` still is the handler.
void give_signals_back(handler ours) noexcept;

enum class passed {
  to_nobody,   // it was ignored
  to_handler,  // the program's handler has returned
  to_death,    // the default action is next: return from the handler
};
// In the handler: does what would have been done without us. Async-signal-safe.
passed pass_on(int number, siginfo_t* info, void* context) noexcept;

// Whether this process sent it to itself, as abort() does.
bool is_own(const siginfo_t& info) noexcept;

}  // namespace outlive::crash
