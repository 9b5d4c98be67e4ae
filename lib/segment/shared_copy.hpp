// Copies of shared bytes that another process may be writing: word by word with relaxed atomic accesses, so that a copy may be torn (the
// caller finds out by a number read before and after) but is never undefined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace outlive::detail {

// The words of a struct are other types by the language: without may_alias the compiler may take them for unrelated memory.
using shared_word [[gnu::may_alias]] = std::uint64_t;

template <class T>
void load_shared(T& into, const T& from) noexcept {
  static_assert(std::is_standard_layout_v<T> && sizeof(T) % 8 == 0 && alignof(T) >= 8);
  auto* const to = reinterpret_cast<shared_word*>(&into);
  const auto* const source = reinterpret_cast<const shared_word*>(&from);
  for (std::size_t i = 0; i < sizeof(T) / 8; ++i) to[i] = __atomic_load_n(source + i, __ATOMIC_RELAXED);
}

template <class T>
void store_shared(T& into, const T& from) noexcept {
  static_assert(std::is_standard_layout_v<T> && sizeof(T) % 8 == 0 && alignof(T) >= 8);
  auto* const to = reinterpret_cast<shared_word*>(&into);
  const auto* const source = reinterpret_cast<const shared_word*>(&from);
  for (std::size_t i = 0; i < sizeof(T) / 8; ++i) __atomic_store_n(to + i, source[i], __ATOMIC_RELAXED);
}

}  // namespace outlive::detail
