#include "companions/wait_word.hpp"

#include <algorithm>
#include <climits>

#include "sys/futex.hpp"

namespace outlive::detail {

void sleep_on(const shared_u32& word, std::uint32_t seen, std::chrono::nanoseconds left) noexcept {
  futex_wait(word, seen, std::min<std::chrono::nanoseconds>(deadline::slice, left));
}

namespace wait_word {

void wake_one(shared_u32& word) noexcept {
  // The bit stays: other threads may sleep, too.
  const std::uint32_t counted = word.fetch_add(2) + 2;
  if (futex_wake(word, 1) > 0) return;
  // No thread slept, so the bit goes. A waiter that came meanwhile found the bit set, changed
  // nothing, and may sleep on `counted` by now. The exchange still succeeds and would leave it
  // asleep without a bit. Hence the second wake.
  std::uint32_t expected = counted;
  if ((counted & maybe_waiters) != 0 &&
      word.compare_exchange_strong(expected, counted & ~maybe_waiters))
    futex_wake(word, INT_MAX);
}

void wake_all(shared_u32& word) noexcept {
  std::uint32_t seen = word.load(std::memory_order_relaxed);
  while (!word.compare_exchange_weak(seen, (seen + 2) & ~maybe_waiters)) {
  }
  futex_wake(word, INT_MAX);
}

}  // namespace wait_word

}  // namespace outlive::detail
