#include "crash/dispositions.hpp"

#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <system_error>

namespace outlive::crash {

namespace {

// Written before our handler is installed, and again after a handler that was to be called only
// once.
constinit struct sigaction former[recorded_signals.size()]{};

struct sigaction& former_of(int number) noexcept {
  const auto found = std::find(recorded_signals.begin(), recorded_signals.end(), number);
  return former[static_cast<std::size_t>(found - recorded_signals.begin())];
}

bool is_ours(const struct sigaction& action, handler ours) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == ours;
}

// Whether an instruction caused the signal. It causes the signal again when it runs again.
bool is_fault(const siginfo_t& info) noexcept {
  return info.si_code > 0 && !(info.si_signo == SIGBUS && info.si_code == BUS_MCEERR_AO);
}

// Removes our handler, and lets the signal come again: from the instruction, so that the core dump
// is the one that would come without us; or, if a process sent it, as it was sent.
void die_by_default(int number, siginfo_t* info) noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(number, &standard, nullptr);
  if (is_fault(*info)) return;
  const auto process = ::getpid();
  const auto thread = static_cast<pid_t>(::syscall(SYS_gettid));
  if (::syscall(SYS_rt_tgsigqueueinfo, process, thread, number, info) != 0)
    ::syscall(SYS_tgkill, process, thread, number);
}

void call(const struct sigaction& action, int number, siginfo_t* info, void* context) noexcept {
  sigset_t mask = static_cast<const ucontext_t*>(context)->uc_sigmask;
  for (int each = 1; each < NSIG; ++each) {
    if (::sigismember(&action.sa_mask, each) == 1) ::sigaddset(&mask, each);
  }
  if ((action.sa_flags & SA_NODEFER) == 0) ::sigaddset(&mask, number);
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(number, info, context);
  } else {
    action.sa_handler(number);
  }
}

}  // namespace

void install_handlers(handler ours) {
  struct sigaction wanted {};
  wanted.sa_sigaction = ours;
  // SA_NODEFER, and none of our signals in the mask: a fault while its signal is blocked kills
  // without a handler, but the second crash is to be noted, too.
  wanted.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  ::sigfillset(&wanted.sa_mask);
  for (const int number : recorded_signals) ::sigdelset(&wanted.sa_mask, number);
  for (const int number : recorded_signals) {
    struct sigaction found {};
    if (::sigaction(number, nullptr, &found) == 0 && is_ours(found, ours)) continue;
    former_of(number) = found;
    if (::sigaction(number, &wanted, nullptr) == 0) continue;
    const int error = errno;
    restore_handlers(ours);
    throw std::system_error(error, std::generic_category(), "sigaction");
  }
}

void restore_handlers(handler ours) noexcept {
  for (const int number : recorded_signals) {
    struct sigaction found {};
    if (::sigaction(number, nullptr, &found) == 0 && is_ours(found, ours))
      ::sigaction(number, &former_of(number), nullptr);
  }
}

bool is_own(const siginfo_t& info) noexcept {
  return info.si_code <= 0 && info.si_pid == ::getpid();
}

passed pass_on(int number, siginfo_t* info, void* context) noexcept {
  struct sigaction& before = former_of(number);
  const struct sigaction action = before;
  const bool by_number = (action.sa_flags & SA_SIGINFO) == 0;
  // An ignored signal still kills if it is a fault.
  if (by_number && action.sa_handler == SIG_IGN && !is_fault(*info)) return passed::to_nobody;
  if (by_number && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
    die_by_default(number, info);
    return passed::to_death;
  }
  if ((action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
    before = {};
    before.sa_handler = SIG_DFL;
  }
  call(action, number, info, context);
  return passed::to_handler;
}

}  // namespace outlive::crash
