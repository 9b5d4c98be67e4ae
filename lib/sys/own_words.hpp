// Shared words that only the calling thread may write at the time. For the fast path: with atomic
// loads and stores the compiler emits more instructions than such words need.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "sys/sanitizers.hpp"

namespace outlive::detail {

// A plain load, which can be part of a comparison, unlike an atomic one.
// Requires: no other thread writes the word meanwhile.
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

// Adds 1, in one instruction if there is one. It has no lock prefix, because others only read the
// word.
[[gnu::always_inline]] inline void raise_own(std::atomic<std::uint64_t>& count) noexcept {
#if defined(__x86_64__) && !defined(OUTLIVE_TSAN)
  asm("addq $1, %0" : "+m"(count) : : "cc");
#else
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
#endif
}

}  // namespace outlive::detail
