// The stack of the thread that a signal has interrupted.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlive::killtest::detail {

inline constexpr std::size_t max_frames = 32;

// Loads libunwind, so that a handler allocates nothing.
void prepare_unwind();

// `context`: the third argument of the handler. Writes the interrupted instruction, then return
// addresses. Async-signal-safe.
// Returns: how many.
std::size_t unwind(void* context, std::uintptr_t (&addresses)[max_frames]) noexcept;

}  // namespace outlive::killtest::detail
