// A segment with shared mutexes, for tests of the tool:  readers_scene SEGMENT
//
// "prices" is held shared by this process and by a child, and was by another child that is dead.
// "stock" is held shared by this process, and a child, its writer, waits for it to leave. Says
// "ready" when all is so, and ends, with its children, at the end of its stdin.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

namespace {

using list = outlive::guarded<long, outlive::robust_shared_mutex>;

template <class Body>
pid_t in_child(Body body) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  body();
  _exit(0);
}

template <class Condition>
void until(const outlive::segment& segment, Condition holds) {
  for (;;) {
    for (const auto& each : outlive::segment_view(segment).locks()) {
      if (holds(each)) return;
    }
    usleep(1000);
  }
}

int run(const char* name) {
  auto segment = outlive::segment::create(name);
  auto& prices = segment.find_or_construct<list>("prices", "list");
  auto& stock = segment.find_or_construct<list>("stock", "list");
  const auto read = [&] {
    const auto hold = prices.lock_shared();
    for (;;) pause();
  };
  const pid_t dead = in_child(read);
  until(segment, [](const auto& each) { return each.readers == 1; });
  kill(dead, SIGKILL);
  waitpid(dead, nullptr, 0);
  const pid_t reader = in_child(read);
  until(segment, [](const auto& each) { return each.readers == 1; });
  const auto first = prices.lock_shared();
  auto second = stock.lock_shared();
  const pid_t writer = in_child([&] { const auto hold = stock.lock(); });
  until(segment, [](const auto& each) { return each.readers == 1 && each.holder; });
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  second.unlock();
  waitpid(writer, nullptr, 0);
  kill(reader, SIGKILL);
  waitpid(reader, nullptr, 0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  try {
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "readers_scene: %s\n", error.what());
    return 3;
  }
}
