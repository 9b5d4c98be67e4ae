#include "inspect/directory_rest.hpp"

#include <atomic>
#include <cstddef>

#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

bool is_at_rest(const segment_header& header) noexcept {
  return (native_mutex::word(header.directory.native) & ~native_mutex::waiters) == 0 &&
         header.directory_counts.stale.load(std::memory_order_acquire) == 0;
}

}  // namespace

directory_rest::directory_rest(const mapping& map) noexcept {
  // What was read of the directory before this look is not read after it. Pairs with the fence in
  // entrant::count(): who has seen a holder's change sees its acquisition here.
  std::atomic_thread_fence(std::memory_order_acquire);
  const segment_header& header = map.header();
  constexpr auto kind = static_cast<std::size_t>(internal_kind::directory);
  // The count before the mutex: a holder that had it at the first of two looks, and counted before,
  // is seen by its mutex. Pairs with the store in entrant::count().
  acquisitions_ = header.internal_acquisitions[kind].load(std::memory_order_acquire);
  at_rest_ = is_at_rest(header);
}

}  // namespace outlive::detail
