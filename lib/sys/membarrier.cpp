#include "sys/membarrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "sys/sanitizers.hpp"

namespace outlive::detail::membarrier {

namespace {

// Remembered for good: a fork keeps the registration, and an exec drops both.
constinit std::atomic<bool> joined{false};

long call(int command) noexcept {
  return syscall(SYS_membarrier, command, 0, 0);
}

}  // namespace

bool is_allowed() noexcept {
#ifdef OUTLIVE_TSAN
  return false;
#else
  constexpr long needed =
      MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
  const long commands = call(MEMBARRIER_CMD_QUERY);
  return commands >= 0 && (commands & needed) == needed;
#endif
}

bool join() noexcept {
  if (joined.load(std::memory_order_acquire)) return true;
  if (!is_allowed() || call(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) != 0) return false;
  joined.store(true, std::memory_order_release);
  return true;
}

bool barrier() noexcept {
  return call(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

}  // namespace outlive::detail::membarrier
