// A busy segment, for tests of outlive top:  crowd_scene SEGMENT
//
// A thread of this process holds 40 mutexes, "idle-0" and so on, and another one "hot", for which 5
// threads wait. Children named "churn" come and go: each acquires "busy" 100 times, waits for a
// byte on stdin, and dies in "drawer", where it repairs what the one before it left. Says "ready"
// when all wait, and ends, with its child, at the end of its stdin.
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

namespace {

using amount = outlive::guarded<long>;

constexpr std::size_t waiters = 5;

std::size_t count_waiting(const outlive::segment& segment) {
  std::size_t count = 0;
  for (const auto& thread : outlive::segment_view(segment).threads())
    count += thread.waiting_for ? 1U : 0U;
  return count;
}

// `ends`: a pipe. It reads as closed once the parent is gone, which may be before the prctl().
[[noreturn]] void work_and_die(const int (&ends)[2], amount& busy, amount& drawer) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(ends[1]);
  pthread_setname_np(pthread_self(), "churn");
  for (int i = 0; i < 100; ++i) ++*busy.lock();
  char asked = 0;
  if (read(ends[0], &asked, 1) != 1) _exit(1);
  const auto hold = drawer.lock();
  raise(SIGKILL);
  _exit(1);
}

int run(const char* name) {
  auto segment = outlive::segment::create(name);
  const auto repair = outlive::on_owner_death<long>(segment, "drawers", outlive::always_consistent);
  auto& hot = segment.find_or_construct<amount>("hot", "class");
  auto& busy = segment.find_or_construct<amount>("busy", "class");
  auto& drawer = segment.find_or_construct<amount>("drawer", "drawers");
  std::vector<decltype(hot.lock())> idle;
  for (int i = 0; i < 40; ++i)
    idle.push_back(segment.find_or_construct<amount>("idle-" + std::to_string(i), "class").lock());
  std::atomic<bool> held{false};
  std::thread([&] {
    const auto hold = hot.lock();
    held = true;
    held.notify_all();
    for (;;) pause();
  }).detach();
  held.wait(false);
  for (std::size_t i = 0; i < waiters; ++i)
    std::thread([&] { const auto hold = hot.lock(); }).detach();
  while (count_waiting(segment) < waiters) usleep(1000);
  int ends[2] = {-1, -1};
  if (pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  std::thread([&] {
    for (;;) {
      const pid_t child = fork();
      if (child == 0) work_and_die(ends, busy, drawer);
      waitpid(child, nullptr, 0);
    }
  }).detach();
  std::puts("ready");
  std::fflush(stdout);
  for (char asked = 0; read(STDIN_FILENO, &asked, 1) == 1;) {
    if (write(ends[1], &asked, 1) != 1) return 1;
  }
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  try {
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "crowd_scene: %s\n", error.what());
    return 3;
  }
}
