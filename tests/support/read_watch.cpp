#include "support/read_watch.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace outlive::testing {

namespace {

read_watch* active = nullptr;

#if defined(__x86_64__)
constexpr greg_t trap_flag = 0x100;
constexpr std::uintptr_t page = 4096;
#endif

}  // namespace

#if defined(__x86_64__)

// The access is repeated alone: with the pages accessible, and a trap after one instruction.
struct read_watch_handlers {
  static void on_fault(int, siginfo_t* info, void* context) {
    active->at_ = reinterpret_cast<std::uintptr_t>(info->si_addr);
    if (active->at_ < active->begin_ / page * page ||
        active->at_ >= (active->end_ + page - 1) / page * page) {
      std::signal(SIGSEGV, SIG_DFL);  // not ours: it repeats, and ends the process
      return;
    }
    active->protect(PROT_READ | PROT_WRITE);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
  }
  static void on_trap(int, siginfo_t*, void* context) {
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
    active->protect(PROT_NONE);
    if (active->at_ >= active->begin_ && active->at_ < active->end_)
      active->after_(reinterpret_cast<const void*>(active->at_));
  }
};

read_watch::read_watch(const void* begin, std::size_t size, hook after)
    : begin_(reinterpret_cast<std::uintptr_t>(begin)),
      end_(begin_ + size),
      after_(std::move(after)) {
  active = this;
  struct sigaction how {};
  how.sa_flags = SA_SIGINFO;
  how.sa_sigaction = &read_watch_handlers::on_fault;
  sigaction(SIGSEGV, &how, nullptr);
  how.sa_sigaction = &read_watch_handlers::on_trap;
  sigaction(SIGTRAP, &how, nullptr);
  protect(PROT_NONE);
}

read_watch::~read_watch() {
  protect(PROT_READ | PROT_WRITE);
  std::signal(SIGSEGV, SIG_DFL);
  std::signal(SIGTRAP, SIG_DFL);
  active = nullptr;
}

void read_watch::protect(int how) const {
  const std::uintptr_t first = begin_ / page * page;
  const std::uintptr_t last = (end_ + page - 1) / page * page;
  if (mprotect(reinterpret_cast<void*>(first), last - first, how) != 0) std::abort();
}

#else

read_watch::read_watch(const void*, std::size_t, hook) {
  throw std::logic_error("read_watch is for x86-64");
}
read_watch::~read_watch() = default;

#endif

}  // namespace outlive::testing
