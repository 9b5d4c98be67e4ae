// Deliberate endings: what a kill point does to its process. Async-signal-safe, except
// exit_this_thread().
#pragma once

#include <cstdint>
#include <string_view>

namespace outlive::detail {

// By SIGKILL, or by a trap if this is process 1 of a PID namespace.
[[noreturn]] void kill_this_process() noexcept;
// A real fault: the program's own handler sees the same as with a wild pointer. Returns if that
// handler has repaired it.
void store_to_null() noexcept;
[[noreturn]] void exit_now(int code) noexcept;
// Unwinds the thread.
[[noreturn]] void exit_this_thread();
// Returns after SIGCONT.
void stop_this_process() noexcept;
void sleep_ms(std::uint32_t time) noexcept;

// One write(2), so that lines of several processes do not mix.
void write_to_stderr(std::string_view text) noexcept;

// nullptr if there is none, or if the program has more rights than its user.
[[nodiscard]] const char* environment(const char* name) noexcept;

[[nodiscard]] std::uint64_t random_seed() noexcept;

}  // namespace outlive::detail
