// The calling thread's list of robust mutexes, as the kernel reads it when the thread dies (robust-futex-ABI.txt).
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlive::killtest::detail {

// What the kernel marks at most.
inline constexpr std::size_t max_robust_locks = 2048;

class robust_list {
 public:
  // Asks the kernel where the calling thread's list is. Throws std::system_error when it has none.
  robust_list();

  // Writes the offsets of the mutexes that lie in [base, base + size), the pending one included and none twice. Async-signal-safe.
  // Returns: how many.
  std::size_t offsets(const char* base, std::size_t size, std::uint64_t* into) const noexcept;

 private:
  const void* head_ = nullptr;
};

}  // namespace outlive::killtest::detail
