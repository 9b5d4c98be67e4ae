// The stack on which a thread's handlers run when its own is at its end. One for each thread: the
// kernel has no other kind.
#pragma once

#include <cstddef>

namespace outlive::crash {

// Gives the calling thread one, freed at its end, unless it has one already (of a runtime or a
// sanitizer): that is left alone.
// Returns: 0 or an errno.
int ensure_alternate_stack() noexcept;

// Makes what the first call needs, so that a thread's end can free its stack. Throws
// std::system_error.
void prepare_alternate_stacks();

// How much of the present stack is left, where it is an alternate one. Async-signal-safe.
std::size_t left_on_alternate_stack() noexcept;

}  // namespace outlive::crash
