// Shared words that only the calling thread may write at the time. For the fast path: the compiler
// makes more instructions of atomic loads and stores than such words need.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "sys/sanitizers.hpp"

namespace outlive::detail {

// Requires: no other thread writes the word meanwhile. A plain load, which can be part of a
// comparison; an atomic one never is.
template <class T>
[[gnu::always_inline]] inline T load_own(const std::atomic<T>& word) noexcept {
#ifdef OUTLIVE_TSAN
  return word.load(std::memory_order_relaxed);
#else
  T value;
  std::memcpy(&value, reinterpret_cast<const char*>(&word), sizeof value);
  return value;
#endif
}

// Adds 1, by one instruction where there is one. Without a lock prefix: others only read it.
[[gnu::always_inline]] inline void raise_own(std::atomic<std::uint64_t>& count) noexcept {
#if defined(__x86_64__) && !defined(OUTLIVE_TSAN)
  asm("addq $1, %0" : "+m"(count) : : "cc");
#else
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
#endif
}

}  // namespace outlive::detail
