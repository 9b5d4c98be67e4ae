// A busy segment, for tests of outlive top:  crowd_scene SEGMENT
//
// A thread of this process holds 40 mutexes, "idle-0" and so on, and another one "hot", for which 5
// threads wait. At an "h" on stdin it lets them have it, and holds it again, and they wait again.
// Children named "churn" come and go: each acquires "busy" 100 times, waits for any other byte on
// stdin, and dies in "drawer", where it repairs what the one before it left. Says "ready" when all
// wait, and ends, with its child, at the end of its stdin.
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

void wait_for_at_least(const std::atomic<std::size_t>& count, std::size_t wanted) {
  for (std::size_t now = 0; (now = count.load()) < wanted;) count.wait(now);
}

// In each round one thread holds the mutex, and all others wait for it until the next one.
class hot_mutex {
 public:
  explicit hot_mutex(amount& mutex) : mutex_(mutex) {
    std::thread([this] { hold(); }).detach();
    for (std::size_t i = 0; i < waiters; ++i) std::thread([this] { wait(); }).detach();
  }
  void next_round() { raise_by_one(asked_); }

 private:
  static void raise_by_one(std::atomic<std::size_t>& count) {
    ++count;
    count.notify_all();
  }
  void hold() {
    for (std::size_t round = 1;; ++round) {
      wait_for_at_least(passed_, waiters * (round - 1));
      const auto hold = mutex_.lock();
      raise_by_one(held_);
      wait_for_at_least(asked_, round);
    }
  }
  void wait() {
    for (std::size_t round = 1;; ++round) {
      wait_for_at_least(held_, round);
      mutex_.lock().unlock();
      raise_by_one(passed_);
    }
  }

  amount& mutex_;
  std::atomic<std::size_t> asked_{0}, held_{0}, passed_{0};
};

int run(const char* name) {
  auto segment = outlive::segment::create(name);
  const auto repair = outlive::on_owner_death<long>(segment, "drawers", outlive::always_consistent);
  auto& hot = segment.find_or_construct<amount>("hot", "class");
  auto& busy = segment.find_or_construct<amount>("busy", "class");
  auto& drawer = segment.find_or_construct<amount>("drawer", "drawers");
  std::vector<decltype(hot.lock())> idle;
  for (int i = 0; i < 40; ++i)
    idle.push_back(segment.find_or_construct<amount>("idle-" + std::to_string(i), "class").lock());
  hot_mutex rounds(hot);
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
    if (asked == 'h')
      rounds.next_round();
    else if (write(ends[1], &asked, 1) != 1)
      return 1;
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
