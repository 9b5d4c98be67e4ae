#include "sys/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace outlive::detail {

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen,
                std::chrono::nanoseconds span) noexcept {
  if (span <= span.zero()) return true;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(span);
  const timespec timeout{static_cast<time_t>(seconds.count()),
                         static_cast<long>((span - seconds).count())};
  return syscall(SYS_futex, &word, FUTEX_WAIT, seen, &timeout, nullptr, 0) != 0 &&
         errno == ETIMEDOUT;
}

int futex_wake(std::uint32_t* word, int count) noexcept {
  return static_cast<int>(
      std::max(0L, syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0)));
}

int futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  return futex_wake(reinterpret_cast<std::uint32_t*>(&word), count);
}

}  // namespace outlive::detail
