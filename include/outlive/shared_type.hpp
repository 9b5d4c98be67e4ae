// Which types may lie in a segment, and how processes recognise them: by name, size, alignment and
// version.
//
// If the next release of a program has another layout of `bank`, segment::find() and
// find_or_construct() refuse it with errc::type_mismatch, and so does the registration of its
// repair. They compare T itself, not only the guarded<T>, work_queue<T> or array around it, whose
// size need not show that T has grown. If a change keeps size and alignment (two members change
// places, another unit), only the version shows it:
//
//   struct bank { long a, b; };
//   template <>  // next to the type, before its first use
//   inline constexpr std::uint32_t outlive::type_version<bank> = 2;
//
// Members are not compared: a struct of yours with a guarded<bank> as a member needs a new version
// of its own when bank changes, unless its own size changes, too.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <outlive/detail/export.hpp>

namespace outlive {

// Specialise this for types that have had several layouts or meanings. Do not specialise it for
// guarded<T>, work_queue<T>, T[N] and std::array<T>: they use the version of T.
template <class T>
inline constexpr std::uint32_t type_version = 0;

// Whether other processes can use a T in a segment. By default that is true of types that are
// trivially copyable, and neither pointers nor polymorphic. Types with a destructor or copy
// constructor of their own mostly own memory of one process (std::string, std::vector). If a type
// is right nonetheless, such as a struct of yours with a mutex in it, say so:
//
//   struct mailbox { outlive::robust_mutex mutex{"mailbox"}; long letters = 0; };
//   template <>
//   inline constexpr bool outlive::shareable<mailbox> = true;
//
// Not detected: pointers and references that are members of a trivially copyable struct.
template <class T>
inline constexpr bool shareable =
    std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !std::is_member_pointer_v<T> &&
    !std::is_null_pointer_v<T> && !std::is_reference_v<T> && !std::is_polymorphic_v<T>;
template <class T>
inline constexpr bool shareable<const T> = shareable<T>;
template <class T, std::size_t Size>
inline constexpr bool shareable<T[Size]> = shareable<T>;
template <class T, std::size_t Size>
inline constexpr bool shareable<const T[Size]> = shareable<T>;
template <class T, std::size_t Size>
inline constexpr bool shareable<std::array<T, Size>> = shareable<T>;
template <class T>
inline constexpr bool shareable<std::atomic<T>> = shareable<T>;
template <class T>
inline constexpr bool shareable<std::optional<T>> = shareable<T>;
template <class First, class Second>
inline constexpr bool shareable<std::pair<First, Second>> = (shareable<First> && shareable<Second>);
template <class... Types>
inline constexpr bool shareable<std::tuple<Types...>> = (shareable<Types> && ...);
// These hold pointers.
template <class Char, class Traits>
inline constexpr bool shareable<std::basic_string_view<Char, Traits>> = false;
template <class T, std::size_t Size>
inline constexpr bool shareable<std::span<T, Size>> = false;
template <class T>
inline constexpr bool shareable<std::reference_wrapper<T>> = false;
template <class T>
inline constexpr bool shareable<std::initializer_list<T>> = false;

namespace detail {

// What T wraps. Each wrapper specialises this where it is defined. If T begins with a mutex,
// `guarded_at` is the offset of the value from it.
template <class T>
struct wrapped {
  using type = void;
  static constexpr std::uint32_t guarded_at = 0;
};
template <class T>
struct wrapped<const T> : wrapped<T> {};
template <class T, std::size_t Size>
struct wrapped<T[Size]> {
  using type = T;
  static constexpr std::uint32_t guarded_at = 0;
};
template <class T, std::size_t Size>
struct wrapped<std::array<T, Size>> : wrapped<T[Size == 0 ? 1 : Size]> {};

// What is compared of the innermost value that a type wraps, or of the type itself if it wraps
// nothing.
struct value_facts {
  std::size_t size;
  std::size_t alignment;
  std::uint32_t version;
  std::uint32_t guarded_at = 0;
  std::uint64_t (*guarded_hash)() noexcept = nullptr;  // of the identity of what is guarded
};

struct object_type {
  std::string_view name;  // as typeid names it
  std::size_t size;
  std::size_t alignment;
  std::uint64_t hash;  // of the above and the value's facts: what the directory compares
  const value_facts* value;
};
[[nodiscard]] OUTLIVE_API std::uint64_t hash_of_type(std::string_view name, std::size_t size,
                                                     std::size_t alignment,
                                                     const value_facts& value) noexcept;

// The hash of T; 0 until it is computed. It is no static that is made at its first use: if another
// thread forked in the middle of that, the child would wait for ever. Two threads may compute it at
// once; both find the same.
template <class T>
struct type_hash {
  static constinit inline std::atomic<std::uint64_t> known{0};
};

template <class T>
[[nodiscard]] object_type object_type_of() noexcept;

template <class T>
[[nodiscard]] constexpr value_facts value_facts_of() noexcept {
  using inner = std::remove_cv_t<typename wrapped<T>::type>;
  if constexpr (std::is_void_v<inner>) {
    return {sizeof(T), alignof(T), type_version<T>};
  } else {
    static_assert(type_version<T> == 0,
                  "the version of a wrapper is that of the type that it wraps: give it to that");
    value_facts found = value_facts_of<inner>();
    found.guarded_at = wrapped<T>::guarded_at;
    found.guarded_hash = nullptr;
    if constexpr (wrapped<T>::guarded_at != 0) {
      found.guarded_hash = []() noexcept { return object_type_of<inner>().hash; };
    }
    return found;
  }
}
template <class T>
inline constexpr value_facts facts_of_value = value_facts_of<T>();

template <class T>
object_type object_type_of() noexcept {
  using plain = std::remove_cv_t<T>;
  const std::string_view name = typeid(plain).name();
  const value_facts& value = facts_of_value<plain>;
  std::uint64_t hash = type_hash<plain>::known.load(std::memory_order_relaxed);
  if (hash == 0) {
    hash = hash_of_type(name, sizeof(plain), alignof(plain), value);
    type_hash<plain>::known.store(hash, std::memory_order_relaxed);
  }
  return {name, sizeof(plain), alignof(plain), hash, &value};
}

// What a mutex guards as part of a guarded<T>: T, and the offset of the value from the mutex.
struct guarded_type {
  std::string_view name;  // empty: nothing
  std::uint64_t hash = 0;
  std::size_t size = 0;
  std::size_t alignment = 0;
  std::uint32_t version = 0;
  std::uint32_t value_offset = 0;
};

}  // namespace detail

}  // namespace outlive
