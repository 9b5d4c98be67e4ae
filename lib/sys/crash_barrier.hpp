// The crash barrier: keeps two stores to shared memory in program order, for the sake of those who
// read them after our death.
//
// A compiler fence is enough. SIGKILL takes effect between two instructions: all stores before that
// point are complete, none after it has begun. The kernel's walk of the robust list follows them in
// program order and is a release; the heir's acquisition pairs with it. docs/protocol.md has the
// argument; a full fence would cost 34 ns and order nothing more.
#pragma once

#include <atomic>

namespace outlive::detail {

inline void crash_barrier() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace outlive::detail
