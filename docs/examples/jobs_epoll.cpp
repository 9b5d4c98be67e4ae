// jobs_epoll: a worker whose event loop has other work than jobs.
//
// Children push jobs and die; one takes a job and dies with it. The parent never sleeps in pop():
// its epoll loop has a timer, and a descriptor that is readable when there is a job.
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <outlive/outlive.hpp>

namespace {

using job_queue = outlive::work_queue<int, 64>;

constexpr int jobs = 20;

[[noreturn]] void push_and_die(job_queue& queue, int first) {
  for (int job = first; job < first + jobs / 2; ++job) queue.push(job);
  std::raise(SIGKILL);
  std::_Exit(1);
}

[[noreturn]] void take_one_and_die(job_queue& queue) {
  const auto job = queue.pop();  // none if all are done, and the queue is closed
  std::raise(SIGKILL);           // the job is handed out again
  std::_Exit(1);
}

void add(int loop, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) {
    std::perror("epoll_ctl");
    std::exit(3);
  }
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto& queue = segment.find_or_construct<job_queue>("jobs");
  for (const int first : {0, jobs / 2}) {
    if (fork() == 0) push_and_die(queue, first);
  }
  if (fork() == 0) take_one_and_die(queue);

  // It is this process's: a child that needs one makes its own.
  auto news = outlive::notify_descriptor::for_jobs(queue);
  const int ticks = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec every_10_ms{{0, 10'000'000}, {0, 10'000'000}};
  timerfd_settime(ticks, 0, &every_10_ms, nullptr);
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  add(loop, news.fd());
  add(loop, ticks);

  std::array<int, jobs> done{};
  int count = 0;
  while (count < jobs) {
    std::array<epoll_event, 8> events{};
    const int ready = epoll_wait(loop, events.data(), static_cast<int>(events.size()), 10'000);
    for (int i = 0; i < ready; ++i) {
      if (events[static_cast<std::size_t>(i)].data.fd == ticks) {
        std::uint64_t passed = 0;  // the other work
        if (read(ticks, &passed, sizeof passed) < 0) std::perror("read");
        continue;
      }
      news.acknowledge();  // first: a job that comes later makes it readable again
      while (auto job = queue.try_pop()) {
        ++done[static_cast<std::size_t>(*job)];
        job.done();
        ++count;
      }
    }
  }
  close(loop);
  close(ticks);
  queue.close();  // wakes the child that would take one, if it came too late
  while (wait(nullptr) > 0) {
  }

  for (const int times : done) {
    if (times != 1) return std::puts("FAILED: a job was done twice, or not at all"), 1;
  }
  std::puts("all jobs are done, once each");
  return 0;
}
