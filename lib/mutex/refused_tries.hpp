// refused_tries: which refused try_lock() looks for a dead owner. A look costs system calls, but a
// thread that never calls lock() must acquire orphans, too.
#pragma once

#include <chrono>
#include <cstdint>

#include <outlive/detail/deadline.hpp>

namespace outlive::detail {

// Call this at each refusal. Returns: true for a few of them, at most one in a slice. It reads the
// clock at about one call in four. Exactly every fourth would be wrong: a thread that tries several
// mutexes in turn would always look at the same one.
inline bool is_look_due() noexcept {
  struct state {
    std::uint32_t left = 1;
    std::uint32_t dice = 1;
    std::chrono::steady_clock::time_point last{};
  };
  static constinit thread_local state mine;
  if (--mine.left != 0) return false;
  mine.dice = mine.dice * 1'664'525 + 1'013'904'223;
  mine.left = 1 + (mine.dice >> 29);  // 1 to 8
  const auto now = std::chrono::steady_clock::now();
  if (now - mine.last < deadline::slice) return false;
  mine.last = now;
  return true;
}

}  // namespace outlive::detail
