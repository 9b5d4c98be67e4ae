#include "support/death.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace outlive::testing {
namespace {

struct errand {
  death kind;
  const std::function<void()>* before;
};

void throw_it() {
  throw std::runtime_error("the uncaught exception that the test wants");
}
void throw_uncaught() noexcept {
  throw_it();
}

void write_through_null() {
  volatile int* nowhere = nullptr;
  // Hidden from the compiler, which may otherwise turn it into a trap (SIGILL), and from UBSan.
  asm volatile("" : "+r"(nowhere));
#if defined(__x86_64__)
  asm volatile("movl $0, (%0)" : : "r"(nowhere) : "memory");
#else
  *nowhere = 0;
#endif
}

void* do_errand(void* argument) {
  const errand job = *static_cast<errand*>(argument);
  (*job.before)();
  if (job.kind != death::thread_return) die(job.kind);
  return nullptr;
}

bool on_main_thread() {
  return gettid() == getpid();
}

}  // namespace

std::string name_of(death kind) {
  switch (kind) {
    case death::sigkill: return "sigkill";
    case death::exit_now: return "exit_now";
    case death::exit: return "exit";
    case death::abort: return "abort";
    case death::segfault: return "segfault";
    case death::exec: return "exec";
    case death::exec_from_thread: return "exec_from_thread";
    case death::thread_exit: return "thread_exit";
    case death::thread_return: return "thread_return";
    case death::uncaught_exception: return "uncaught_exception";
  }
  return "no death";
}

void restore_fatal_signals() {
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) std::signal(signal, SIG_DFL);
}

void exec_other_program(bool live_on) {
  if (live_on) {
    execl("/bin/sleep", "sleep", "60", static_cast<char*>(nullptr));
  } else {
    execl("/bin/true", "true", static_cast<char*>(nullptr));
  }
  std::perror("exec");
  _exit(127);
}

void die(death kind) {
  restore_fatal_signals();
  switch (kind) {
    case death::sigkill: kill(getpid(), SIGKILL); break;
    case death::exit_now: _exit(0);
    case death::exit: std::exit(0);
    case death::abort: std::abort();
    case death::segfault: write_through_null(); break;
    case death::exec:
      if (!on_main_thread()) throw std::logic_error("death::exec is for the main thread");
      exec_other_program(true);
    case death::exec_from_thread:
      if (on_main_thread())
        throw std::logic_error("death::exec_from_thread is not for the main thread");
      exec_other_program(true);
    case death::thread_exit: pthread_exit(nullptr);
    case death::thread_return: throw std::logic_error("death::thread_return needs run_then_die");
    case death::uncaught_exception: throw_uncaught();
  }
  std::fprintf(stderr, "survived its own death (%s)\n", name_of(kind).c_str());
  _exit(127);
}

void run_then_die(death kind, const std::function<void()>& before) {
  errand job{kind, &before};
  if (!ends_thread(kind) && kind != death::exec_from_thread) {
    before();
    die(kind);
  }
  pthread_t other;
  if (const int error = pthread_create(&other, nullptr, do_errand, &job)) {
    throw std::runtime_error("pthread_create: error " + std::to_string(error));
  }
  // The kernel walks the robust list before it clears the word that join waits for.
  pthread_join(other, nullptr);
}

void expect_end(child& victim, death kind, source_line at) {
  switch (kind) {
    case death::sigkill: victim.expect_killed(SIGKILL, at); break;
    case death::exit_now:
    case death::exit: victim.expect_exit(0, at); break;
    case death::abort:
    case death::uncaught_exception: victim.expect_killed(SIGABRT, at); break;
    case death::segfault: victim.expect_killed(SIGSEGV, at); break;
    case death::exec:
    case death::exec_from_thread: victim.wait_for_exec(); break;
    case death::thread_exit:
    case death::thread_return: victim.wait_for("thread gone"); break;
  }
}

}  // namespace outlive::testing
