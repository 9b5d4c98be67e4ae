// The stack on which the handlers of a thread run when its own stack is full. Each thread needs
// one: the kernel has no other kind.
#pragma once

#include <cstddef>

namespace outlive::crash {

// Gives the calling thread an alternate stack, freed at the thread's end. An existing one, of a
// runtime or a sanitizer, is left alone.
// Returns: 0 or an errno.
int ensure_alternate_stack() noexcept;

// Prepares what the first call needs, so that a thread can free its stack at its end. Throws
// std::system_error.
void prepare_alternate_stacks();

// How much is left of the present stack if it is an alternate one; the largest number otherwise.
// Async-signal-safe.
std::size_t left_on_alternate_stack() noexcept;

}  // namespace outlive::crash
