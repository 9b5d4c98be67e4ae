// lock: acquires several guarded values without a deadlock, in whatever order they are named.
//
//   auto [from, to] = outlive::lock(left, right);  // two guarded<shelf>
//   from->boxes -= 1;
//   to->boxes += 1;
//
// What std::scoped_lock does for mutexes, with guards that lead to the values. If the owner dies,
// the report names the caller of outlive::lock() as the place of acquisition, not a line of the
// standard library. The death is one owner death for each value (docs/guide/several_locks.md).
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <outlive/detail/export.hpp>
#include <outlive/guarded.hpp>

namespace outlive {

namespace detail {

template <class>
inline constexpr bool is_guarded = false;
template <class T, class Mutex>
inline constexpr bool is_guarded<guarded<T, Mutex>> = true;

// Throws errc::deadlock if one of the objects is there twice.
OUTLIVE_API void require_different(const void* const* objects, std::size_t count);

// Locks number `first`, and tries the others. Returns: the number of one that another thread holds;
// otherwise how many there are.
// Inlined even without optimisation, like what it calls, so that the return address of each
// acquisition is in the function that called lock().
template <class Guards, std::size_t... Number, class... Guarded>
[[gnu::always_inline]] inline std::size_t lock_and_try(Guards& held, std::size_t first,
                                                       std::index_sequence<Number...>,
                                                       Guarded&... all) {
  constexpr std::size_t count = sizeof...(Number);
  ((Number == first ? static_cast<void>(std::get<Number>(held) = all.lock())
                    : static_cast<void>(0)),
   ...);
  std::size_t busy = count;
  ((busy == count && Number != first && !(std::get<Number>(held) = all.try_lock())
        ? static_cast<void>(busy = Number)
        : static_cast<void>(0)),
   ...);
  return busy;
}

}  // namespace detail

// Acquires the mutexes of all, and runs the repairs that are due.
// Blocks: until it has all of them. While it waits for one, it holds none of the others, so threads
//   that lock the same values in another order do not wait for each other.
// Returns: a guard for each, in the order of the arguments.
// Errors: as robust_mutex::lock() of each; errc::deadlock, too, if one is named twice. On every
//   error the caller holds none of them.
// A guard's recovered() is about its last acquisition: if another value was busy, a repair may have
// run in an earlier one. The repair itself is called in each case.
// After fork, Signal-safe, Order: as robust_mutex::lock().
template <class... Guarded>
requires(sizeof...(Guarded) > 0 && (detail::is_guarded<Guarded> && ...))
    [[nodiscard,
      gnu::always_inline]] inline std::tuple<typename Guarded::guard...> lock(Guarded&... all) {
  const void* const objects[] = {std::addressof(all)...};
  detail::require_different(objects, sizeof...(Guarded));
  for (std::size_t first = 0;;) {
    std::tuple<typename Guarded::guard...> held;
    const std::size_t busy =
        detail::lock_and_try(held, first, std::index_sequence_for<Guarded...>(), all...);
    if (busy == sizeof...(Guarded)) return held;
    first = busy;  // the guards end here: whoever holds this one may wait for them
  }
}

}  // namespace outlive
