// Stacks by libunwind, which is loaded with RTLD_LOCAL: it exports _Unwind_RaiseException and its
// relatives, and whoever links it sends the C++ exceptions of the whole program through it.
//
// A thread's own stack is unwound as another process's is, with accessors of ours. The simpler
// unw_init_local2 asks the dynamic loader for each frame (dl_iterate_phdr, with all signals
// masked): a thread that crashed with the loader's lock in hand would wait for it for ever, holding
// all that it holds; and it reads the stack with plain loads, which a stack that was overwritten
// turns into crashes.
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

// How much of a stack unwinding needs, generously.
inline constexpr std::size_t unwind_stack_bytes = 24 * 1024;

// Loads libunwind and looks at the modules. Returns: why there will be no stacks; empty if there
// will.
const std::string& prepare_unwinder();

// A thread that does not run: what it was at, its memory, and where its modules are.
struct unwinding {
  registers at;
  checked_memory memory;
  const mapped_module* (*find)(std::uint64_t address, void* context);
  void* context;
};
// The instruction first, then return addresses, at most `most`. Returns: how many, at least 1.
// Async-signal-safe if `find` is.
std::size_t unwind(unwinding& from, std::uint64_t* frames, std::size_t most) noexcept;

// The stack of the thread that a signal has interrupted: the instruction first, then return
// addresses. Async-signal-safe.
// Returns: how many, at least 1.
std::size_t unwind(const ucontext_t& context, std::uint64_t (&frames)[max_frames]) noexcept;

}  // namespace outlive::crash
