#include "support/tracee.hpp"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "support/breakpoint.hpp"
#include "support/code_address.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {

#if defined(__x86_64__)
namespace {

constexpr milliseconds slice{5};

[[gnu::noinline]] void debugged_function() {
  asm volatile("");
}

/// Some virtual machines accept a debug register, and never stop there. Checked once, with a child.
bool debug_registers_stop() {
  static const bool answer = [] {
    const pid_t pid = fork();
    if (pid == 0) {
      tracee::trace_me();
      raise(SIGSTOP);
      debugged_function();
      _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, __WALL) != pid) fail("cannot ask for debug registers");
    const debug_register here(pid, reinterpret_cast<std::uintptr_t>(&debugged_function));
    if (here && request(PTRACE_CONT, pid, 0, 0UL) == 0 && waitpid(pid, &status, __WALL) != pid)
      fail("cannot ask for debug registers");
    const bool stops = here && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
    if (WIFSTOPPED(status)) {
      ::kill(pid, SIGKILL);
      waitpid(pid, &status, __WALL);
    }
    return stops;
  }();
  return answer;
}

}  // namespace

tracee::blocked_sigchld::blocked_sigchld() {
  sigemptyset(&only_);
  sigaddset(&only_, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &only_, &before_);
}

tracee::blocked_sigchld::~blocked_sigchld() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void tracee::blocked_sigchld::await(milliseconds span) const {
  const timespec limit{0, static_cast<long>(span.count()) * 1'000'000};
  sigtimedwait(&only_, nullptr, &limit);
}

void tracee::trace_me() {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) fail("PTRACE_TRACEME");
}

tracee::tracee(child& process, std::function<void()> on_sleep, milliseconds limit)
    : process_(process), on_sleep_(std::move(on_sleep)), limit_(limit) {}

tracee::~tracee() {
  if (!gone_) process_.kill();
}

tracee::stop tracee::judge(int status) {
  if (WIFEXITED(status) || WIFSIGNALED(status)) {
    gone_ = true;
    process_.note_reaped(status);
    return stop::ended;
  }
  if (WSTOPSIG(status) != SIGTRAP) {
    // A signal on its way to the child: handed over with the next resume.
    pending_signal_ = WSTOPSIG(status);
    return stop::stepped;
  }
  siginfo_t info;
  if (request(PTRACE_GETSIGINFO, process_.pid(), 0, &info) != 0) fail("PTRACE_GETSIGINFO");
  return info.si_code == SI_KERNEL ? stop::at_marker : stop::stepped;
}

tracee::stop tracee::resume(int what, bool stop_asleep) {
  const pid_t pid = process_.pid();
  const deadline end(limit_);
  slept_ = false;
  if (what != 0) {
    const int signal = pending_signal_;
    pending_signal_ = 0;
    if (request(what, pid, 0, static_cast<unsigned long>(signal)) != 0)
      fail("cannot resume the traced child");
  }
  for (;;) {
    int status = 0;
    const pid_t got = waitpid(pid, &status, WNOHANG | __WALL);
    if (got == pid) return judge(status);
    if (got < 0 && errno != EINTR) fail("waitpid of the traced child");
    const deadline nap(slice);
    announced_.await(slice);
    if (!nap.passed() || task_state(pid) != 'S') {
      if (end.passed()) throw timed_out("child '" + process_.name() + "' did not stop");
      continue;
    }
    slept_ = true;
    if (stop_asleep) return stop::asleep;
    if (on_sleep_) on_sleep_();
    if (end.passed()) throw timed_out("child '" + process_.name() + "' sleeps for ever");
  }
}

void tracee::run_to_marker() {
  const bool first_stop = std::exchange(fresh_, false);
  stop got = resume(first_stop ? 0 : PTRACE_CONT, false);
  const auto kill_with_me = static_cast<unsigned long>(PTRACE_O_EXITKILL);
  if (first_stop && got != stop::ended &&
      request(PTRACE_SETOPTIONS, process_.pid(), 0, kill_with_me) != 0)
    fail("PTRACE_SETOPTIONS");
  while (got != stop::at_marker && got != stop::ended) got = resume(PTRACE_CONT, false);
  if (got == stop::ended) {
    throw std::runtime_error("child '" + process_.name() +
                             "' ended before the marker: " + process_.wait().describe());
  }
}

tracee::stop tracee::step(bool stop_asleep) {
  return resume(PTRACE_SINGLESTEP, stop_asleep);
}

tracee::stop tracee::run_to(std::uintptr_t address, std::size_t hits) {
  if (!debug_registers_stop()) return run_to_int3(address, hits);
  std::size_t hit = 0;
  if (const debug_register here(process_.pid(), address); here) {
    for (;;) {
      const stop got = resume(PTRACE_CONT, false);
      if (got == stop::ended || got == stop::at_marker) return got;
      if (pending_signal_ == 0 && stopped_at().pc == address && ++hit == hits)
        return stop::at_breakpoint;
    }
  }
  return run_to_int3(address, hits);
}

tracee::stop tracee::run_to_int3(std::uintptr_t address, std::size_t hits) {
  breakpoint here(process_.pid(), address);
  for (std::size_t hit = 0;;) {
    const stop got = resume(PTRACE_CONT, false);
    if (got == stop::ended) return got;
    if (got == stop::stepped) continue;  // a signal
    if (stopped_at().pc != address + 1) {
      here.remove();
      return stop::at_marker;
    }
    set_pc(address);
    here.remove();
    if (++hit == hits) return stop::at_breakpoint;
    const stop over = resume(PTRACE_SINGLESTEP, false);
    if (over != stop::stepped) return over;
    here.place();
  }
}

tracee::position tracee::stopped_at() const {
  user_regs_struct all;
  if (request(PTRACE_GETREGS, process_.pid(), 0, &all) != 0) fail("PTRACE_GETREGS");
  return {static_cast<std::uintptr_t>(all.rip), static_cast<std::uintptr_t>(all.rsp)};
}

namespace {

/// The memory at `address` in the child.
template <typename Value>
Value read_from(pid_t pid, std::uintptr_t address) {
  Value value{};
  const iovec here{&value, sizeof value};
  const iovec there{reinterpret_cast<void*>(address), sizeof value};
  if (process_vm_readv(pid, &here, 1, &there, 1, 0) != static_cast<ssize_t>(sizeof value))
    fail("cannot read the child's memory");
  return value;
}

}  // namespace

tracee::robust_list_words tracee::robust_list() const {
  void* head = nullptr;
  std::size_t size = 0;
  if (syscall(SYS_get_robust_list, process_.pid(), &head, &size) != 0)
    fail("get_robust_list of the child");
  return head == nullptr
             ? robust_list_words{}
             : read_from<robust_list_words>(process_.pid(), reinterpret_cast<std::uintptr_t>(head));
}

bool tracee::at_system_call() const {
  constexpr std::uint16_t syscall_instruction = 0x050f;
  return read_from<std::uint16_t>(process_.pid(), stopped_at().pc) == syscall_instruction;
}

void tracee::set_pc(std::uintptr_t pc) {
  if (request(PTRACE_POKEUSER, process_.pid(), offsetof(user_regs_struct, rip), pc) != 0)
    fail("cannot set the pc");
}

void tracee::kill() {
  process_.kill(SIGKILL);
  process_.wait(limit_);
  gone_ = true;
}

void tracee::let_go() {
  if (request(PTRACE_DETACH, process_.pid(), 0, static_cast<unsigned long>(pending_signal_)) != 0)
    fail("PTRACE_DETACH");
  gone_ = true;
}

std::optional<std::string> tracing_unavailable() {
  static const std::optional<std::string> reason = []() -> std::optional<std::string> {
    try {
      // The failure must not become one of the test: hence exit codes, not exceptions, in the
      // child.
      child probe("ptrace probe", [](agent&) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
        asm volatile("int3\n\tnop\n\tnop" ::: "memory");
        _exit(0);
      });
      tracee stepped(probe, nullptr, default_timeout());
      stepped.run_to_marker();
      const auto before = stepped.stopped_at();
      if (stepped.step() != tracee::stop::stepped || stepped.stopped_at().pc != before.pc + 1) {
        return "single steps are not exact here";
      }
      stepped.kill();
      return std::nullopt;
    } catch (const std::exception& error) {
      return std::string("ptrace of a child is not permitted here: ") + error.what();
    }
  }();
  return reason;
}

#else

tracee::blocked_sigchld::blocked_sigchld() = default;
tracee::blocked_sigchld::~blocked_sigchld() = default;
void tracee::blocked_sigchld::await(milliseconds) const {}
void tracee::trace_me() {}
tracee::tracee(child& process, std::function<void()>, milliseconds limit)
    : process_(process), limit_(limit) {}
tracee::~tracee() = default;
void tracee::run_to_marker() {}
tracee::stop tracee::step(bool) {
  return stop::ended;
}
tracee::stop tracee::run_to(std::uintptr_t, std::size_t) {
  return stop::ended;
}
tracee::position tracee::stopped_at() const {
  return {};
}
tracee::robust_list_words tracee::robust_list() const {
  return {};
}
bool tracee::at_system_call() const {
  return false;
}
void tracee::kill() {}
void tracee::let_go() {}

std::optional<std::string> tracing_unavailable() {
  return "single-stepping is written for x86-64 only";
}

#endif

}  // namespace outlive::testing
