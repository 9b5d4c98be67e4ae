// OUTLIVE_CRASH_BARRIER: orders two stores of a thread that may be killed between them.
//
//   of.undo = of.value;         // evidence first
//   OUTLIVE_CRASH_BARRIER();
//   of.changing = true;
//   OUTLIVE_CRASH_BARRIER();
//   of.value = value;           // change next
//   OUTLIVE_CRASH_BARRIER();
//   of.changing = false;        // evidence away last
//
// It keeps the compiler from moving stores across it, and from making one store of two. It costs no
// instruction: a kill takes effect between two instructions, and what the thread has stored by then
// is what the heir finds, in program order (docs/protocol.md). It orders nothing between living
// threads.
//
// Compiled with -DOUTLIVE_OBSERVE_CRASH_BARRIERS, and linked to liboutlive-killtest, each barrier
// is also a place that explore() knows: it takes the barriers out, one after the other, by
// exchanging the stores around it, and reports those that made no difference. Define it for kill
// tests only, for the whole program.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <atomic>

#if defined(OUTLIVE_OBSERVE_CRASH_BARRIERS)

#include <outlive/detail/export.hpp>

namespace outlive::detail {
// In liboutlive-killtest. Notes the place if the stores of this thread are logged. `file`: a
// literal.
OUTLIVE_API void passed_crash_barrier(const char* file, unsigned line) noexcept;
}  // namespace outlive::detail

#define OUTLIVE_CRASH_BARRIER()                                 \
  (::std::atomic_signal_fence(::std::memory_order_seq_cst),     \
   ::outlive::detail::passed_crash_barrier(__FILE__, __LINE__), \
   ::std::atomic_signal_fence(::std::memory_order_seq_cst))

#else

#define OUTLIVE_CRASH_BARRIER() ::std::atomic_signal_fence(::std::memory_order_seq_cst)

#endif
