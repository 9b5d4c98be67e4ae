// Keeps two stores to shared memory in program order.
//
// A process can be killed between any two of its instructions, and the compiler, which does not
// know that, may move or merge stores. The processor needs no fence: a killed process has done all
// its stores up to the kill, and a process that reads them has acquired the lock after it.
#pragma once

#include <atomic>

namespace pool {

inline void crash_barrier() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace pool
