#include "bench/processes.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include "bench/harness.hpp"
#include "bench/peers.hpp"

namespace outlive::testing {

namespace {

// As they were when the process started, before it was pinned; children inherit the answer.
const std::vector<int>& allowed_cpus() {
  static const std::vector<int> cpus = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    require(::sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity");
    std::vector<int> found;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) found.push_back(static_cast<int>(cpu));
    }
    return found;
  }();
  return cpus;
}

char state_of(pid_t process) {
  std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto end_of_name = line.rfind(')');
  return end_of_name == std::string::npos || end_of_name + 2 >= line.size() ? '?'
                                                                            : line[end_of_name + 2];
}

}  // namespace

pid_t fork_child(const std::function<void()>& body) {
  const pid_t parent = ::getpid();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(3);
  ::signal(SIGINT, SIG_IGN);  // the parent ends us
  try {
    body();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "benchmark, child: %s\n", failure.what());
    ::_exit(1);
  }
  ::_exit(0);
}

void kill_and_reap(pid_t child) {
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

void pin_to(int cpu) {
  (void)allowed_cpus();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  require(::sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

int cpu_count() {
  return static_cast<int>(allowed_cpus().size());
}
int nth_cpu(int index) {
  return allowed_cpus()[static_cast<std::size_t>(index % cpu_count())];
}

void wait_while(const shared_word& word, std::uint32_t value) {
  const auto end = now_ns() + patience_ns;
  while (word.load() == value) {
    require(now_ns() < end, "a child did not answer");
    const timespec slice{0, 100'000'000};
    ::syscall(SYS_futex, &word, FUTEX_WAIT, value, &slice, nullptr, 0);
  }
}

std::uint32_t next_order(const shared_word& word, std::uint32_t value) {
  for (;;) {
    if (const auto now = word.load(); now != value) return now;
    ::syscall(SYS_futex, &word, FUTEX_WAIT, value, nullptr, nullptr, 0);
  }
}

void set_and_wake(shared_word& word, std::uint32_t value) {
  word.store(value);
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void wait_until_asleep(pid_t child) {
  const auto end = now_ns() + patience_ns;
  for (;;) {
    const char state = state_of(child);
    if (state == 'S') return;
    require(state != '?' && state != 'Z' && state != 'X', "a child has died");
    require(now_ns() < end, "a child does not block");
    const timespec step{0, 20'000};
    ::nanosleep(&step, nullptr);
  }
}

}  // namespace outlive::testing
