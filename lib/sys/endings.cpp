#include "sys/endings.hpp"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "sys/no_cancellation.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

void kill_this_process() noexcept {
  ::kill(current_pid(), SIGKILL);
  // Reached only by process 1 of a PID namespace, to which the kernel delivers no fatal signal from
  // inside. A trap with the default action ends process 1, too. Which signal a trap sends depends
  // on the architecture. Trying SIGKILL again would spin for ever.
  for (const int trap : {SIGILL, SIGTRAP}) ::signal(trap, SIG_DFL);
  for (;;) __builtin_trap();
}

void store_to_null() noexcept {
  // volatile, because the compiler turns a visible store to a null pointer into a trap, which is
  // another signal
  int* volatile nowhere = nullptr;
  *static_cast<volatile int*>(nowhere) = 0;
}

void exit_now(int code) noexcept {
  ::_exit(code);
}

void exit_this_thread() {
  ::pthread_exit(nullptr);
}

void stop_this_process() noexcept {
  ::kill(current_pid(), SIGSTOP);
}

void sleep_ms(std::uint32_t time) noexcept {
  const no_cancellation here;
  timespec left{static_cast<time_t>(time / 1000), static_cast<long>(time % 1000) * 1'000'000};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

void write_to_stderr(std::string_view text) noexcept {
  const int before = errno;
  const no_cancellation here;
  while (::write(STDERR_FILENO, text.data(), text.size()) < 0 && errno == EINTR) {
  }
  errno = before;
}

const char* environment(const char* name) noexcept {
  return ::secure_getenv(name);
}

std::uint64_t random_seed() noexcept {
  const no_cancellation here;
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
    seed = static_cast<std::uint64_t>(current_pid());
  return seed;
}

}  // namespace outlive::detail
