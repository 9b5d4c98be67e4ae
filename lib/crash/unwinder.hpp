// Stacks by libunwind. It exports _Unwind_RaiseException and its relatives, and a program that
// links it sends all its C++ exceptions through it. So it is loaded with RTLD_LOCAL.
//
// A thread's own stack is unwound like another process's, with accessors of ours. The simpler
// unw_init_local2 asks the dynamic loader about each frame (dl_iterate_phdr, with all signals
// masked): a thread that crashed with the loader's lock would wait for it for ever, with all that
// it holds. It also reads the stack with plain loads, which crash if the stack was overwritten.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "crash/checked_memory.hpp"
#include "crash/module_map.hpp"
#include "crash/registers.hpp"

namespace outlive::crash {

inline constexpr std::size_t max_frames = 32;

// How much stack unwinding needs, generously.
inline constexpr std::size_t unwind_stack_bytes = 24 * 1024;

// Loads libunwind and reads the loaded modules. Returns: why there will be no stacks; empty
// otherwise.
const std::string& prepare_unwinder();

// A thread that does not run: its registers, its memory and its modules.
struct unwinding {
  registers at;
  checked_memory memory;
  const mapped_module* (*find)(std::uint64_t address, void* context);
  void* context;
};
// Writes the instruction, then return addresses, at most `most`. Returns: how many, at least 1.
// Async-signal-safe if `find` is.
std::size_t unwind(unwinding& from, std::uint64_t* frames, std::size_t most) noexcept;

// The stack of the thread that a signal has interrupted: the instruction, then return addresses.
// Async-signal-safe.
// Returns: how many, at least 1.
std::size_t unwind(const ucontext_t& context, std::uint64_t (&frames)[max_frames]) noexcept;

}  // namespace outlive::crash
