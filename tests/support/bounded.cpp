#include "support/bounded.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

namespace outlive::testing {
namespace {

timespec to_timespec(std::chrono::nanoseconds span) {
  timespec out{};
  out.tv_sec = static_cast<time_t>(span.count() / 1'000'000'000);
  out.tv_nsec = static_cast<long>(span.count() % 1'000'000'000);
  return out;
}

std::uint32_t* address_of(const std::atomic<std::uint32_t>& word) {
  return reinterpret_cast<std::uint32_t*>(const_cast<std::atomic<std::uint32_t>*>(&word));
}

}  // namespace

milliseconds default_timeout() {
  static const milliseconds chosen = [] {
    const char* text = std::getenv("OUTLIVE_TEST_TIMEOUT_MS");
    const long given = text ? std::strtol(text, nullptr, 10) : 0;
    return milliseconds(given > 0 ? given : 10'000);
  }();
  return chosen;
}

milliseconds deadline::left() const {
  const auto span = end_ - std::chrono::steady_clock::now();
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(span));
}

void backoff::rest() {
  if (rounds_++ < 50) {
    sched_yield();
    return;
  }
  const timespec span = to_timespec(std::chrono::microseconds(rounds_ < 100 ? 100 : 1000));
  nanosleep(&span, nullptr);
}

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen, milliseconds span) {
  const timespec relative = to_timespec(span);
  syscall(SYS_futex, address_of(word), FUTEX_WAIT, seen, &relative, nullptr, 0);
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, address_of(word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace outlive::testing
