// Copies of shared bytes that another thread may be writing, piece by piece with relaxed atomic
// accesses. A copy may be torn, which the caller finds out by a number read before and after, but
// never undefined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "sys/process.hpp"

namespace outlive::detail {

// A struct's words have another type: without may_alias the compiler may assume that they are
// unrelated memory.
using shared_word [[gnu::may_alias]] = std::uint64_t;

template <class T>
void load_shared(T& into, const T& from) noexcept {
  static_assert(std::is_standard_layout_v<T> && sizeof(T) % 8 == 0 && alignof(T) >= 8);
  auto* const to = reinterpret_cast<shared_word*>(&into);
  const auto* const source = reinterpret_cast<const shared_word*>(&from);
  for (std::size_t i = 0; i < sizeof(T) / 8; ++i)
    to[i] = __atomic_load_n(source + i, __ATOMIC_RELAXED);
}

template <class T>
void store_shared(T& into, const T& from) noexcept {
  static_assert(std::is_standard_layout_v<T> && sizeof(T) % 8 == 0 && alignof(T) >= 8);
  auto* const to = reinterpret_cast<shared_word*>(&into);
  const auto* const source = reinterpret_cast<const shared_word*>(&from);
  for (std::size_t i = 0; i < sizeof(T) / 8; ++i)
    __atomic_store_n(to + i, source[i], __ATOMIC_RELAXED);
}

// Names of 16 bytes, byte by byte: they need not begin at a word.
inline void load_shared_name(short_name& into, const char* from) noexcept {
  for (std::size_t i = 0; i + 1 < into.size(); ++i)
    into[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
  into.back() = 0;
}

inline void store_shared_name(char* into, const short_name& from) noexcept {
  for (std::size_t i = 0; i < from.size(); ++i)
    __atomic_store_n(into + i, from[i], __ATOMIC_RELAXED);
}

// Texts of any length that begin at a word: as many words as fit, then bytes.
inline void load_shared_text(char* into, const char* from, std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const std::uint64_t word =
        __atomic_load_n(reinterpret_cast<const shared_word*>(from + i), __ATOMIC_RELAXED);
    std::memcpy(into + i, &word, 8);
  }
  for (; i < size; ++i) into[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
}

inline void store_shared_text(char* into, const char* from, std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, from + i, 8);
    __atomic_store_n(reinterpret_cast<shared_word*>(into + i), word, __ATOMIC_RELAXED);
  }
  for (; i < size; ++i) __atomic_store_n(into + i, from[i], __ATOMIC_RELAXED);
}

}  // namespace outlive::detail
