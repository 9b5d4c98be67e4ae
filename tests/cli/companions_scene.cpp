// A segment with a queue and permits, for tests of the tool:  companions_scene SEGMENT
//
// "jobs" has room for 8, and an hour for each lease. Of its five jobs one is leased by this
// process, one by a child. Workers died on the other three, on one of them twice, so that it is a
// dead letter. "desks" are 4 permits: this process has 2, a child 1, and one is of a dead thread.
// In the object "office" is a closed queue. Says "ready" when all is so, and ends, with its
// children, at the end of its stdin.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

namespace {

struct job {
  long from, to;
};
struct office {
  outlive::guarded<long> total{"count"};
  outlive::work_queue<job, 4> mail;
};

using queue = outlive::work_queue<job, 8>;

template <class Body>
pid_t in_child(Body body) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  body();
  _exit(0);
}

template <class Body>
void die_in(Body body) {
  waitpid(in_child([&] {
            body();
            raise(SIGKILL);
          }),
          nullptr, 0);
}

}  // namespace

template <>
inline constexpr bool outlive::shareable<office> = true;

namespace {

int run(const char* name) {
  auto segment = outlive::segment::create(name);
  auto& jobs = segment.find_or_construct<queue>(
      "jobs", outlive::work_queue_options{.max_tries = 2, .lease_limit = std::chrono::hours(1)});
  auto& desks = segment.find_or_construct<outlive::permit_pool<8>>("desks", 4U);
  segment.find_or_construct<office>("office").mail.close();
  for (long i = 0; i < 5; ++i) jobs.push({i, i + 1});

  const auto mine = jobs.pop();
  int ready[2];
  if (pipe(ready) != 0) return 3;
  const pid_t other = in_child([&] {
    const auto lease = jobs.pop();
    const auto permit = desks.acquire();
    if (write(ready[1], "x", 1) != 1) std::abort();
    for (;;) pause();
  });
  char byte = 0;
  if (read(ready[0], &byte, 1) != 1) return 3;
  // Each takes the job of its predecessor, or the next one.
  for (int i = 0; i < 2; ++i) die_in([&] { static_cast<void>(new auto(jobs.pop())); });
  for (;;) {
    const auto counts = jobs.counts();
    if (counts.dead_letters == 1) break;
    die_in([&] { static_cast<void>(new auto(jobs.pop())); });
  }
  const auto first = desks.acquire(), second = desks.acquire();
  die_in([&] { static_cast<void>(new auto(desks.acquire())); });
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  try {
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "companions_scene: %s\n", error.what());
    return 3;
  }
}
