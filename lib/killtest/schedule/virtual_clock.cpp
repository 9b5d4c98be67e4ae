#include "killtest/schedule/virtual_clock.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "killtest/schedule/call_trap.hpp"
#include "killtest/stores/page_shadow.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr std::int64_t second = 1'000'000'000;
// Of a machine that has run for a day, in 2033: the same in every run.
constexpr std::int64_t fixed_monotonic = 86'400 * second;
constexpr std::int64_t fixed_realtime = 2'000'000'000 * second;

const std::int64_t* elapsed_time = nullptr;

int read_virtual_clock(clockid_t which, timespec* into) noexcept {
  std::int64_t time = *elapsed_time;
  switch (which) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI: time += fixed_realtime; break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME: time += fixed_monotonic; break;
    default: {
      const long failed = untrapped_call(SYS_clock_gettime, which,
                                         static_cast<long>(reinterpret_cast<std::uintptr_t>(into)));
      if (failed == 0) return 0;
      errno = static_cast<int>(-failed);
      return -1;
    }
  }
  into->tv_sec = static_cast<time_t>(time / second);
  into->tv_nsec = static_cast<long>(time % second);
  return 0;
}

}  // namespace

std::int64_t virtual_realtime_ahead() noexcept {
  return fixed_realtime - fixed_monotonic;
}

std::int64_t virtual_monotonic() noexcept {
  return fixed_monotonic;
}

void use_virtual_clock(const std::int64_t* elapsed) {
  elapsed_time = elapsed;
  void* const found = ::dlsym(RTLD_DEFAULT, "clock_gettime");
  if (found == nullptr)
    throw std::runtime_error(
        "found no clock_gettime() in a shared C library, whose clock could be "
        "replaced");
  // movabs $target, %rax; jmp *%rax
  unsigned char jump[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
  auto* const target = &read_virtual_clock;
  std::memcpy(jump + 2, &target, sizeof target);
  auto* const code = static_cast<char*>(found);
  auto* const page =
      reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(code) & ~(page_bytes - 1));
  const auto bytes = static_cast<std::size_t>(code - page) + sizeof jump;
  if (::mprotect(page, bytes, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "mprotect: the C library's clock");
  std::memcpy(code, jump, sizeof jump);
  if (::mprotect(page, bytes, PROT_READ | PROT_EXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "mprotect: the C library's clock");
}

}  // namespace outlive::killtest::detail
