// supervise_epoll: a supervisor as one source of a program's own event loop, beside its other work.
//
// The parent has an epoll loop with a timer. It adds the supervisor's one descriptor, and need not
// know about the processes, the inotify watch and the timer behind it. Here the workers are
// children; other processes that attach by the segment's name are watched just the same.
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <outlive/outlive.hpp>

namespace {

struct shelf {
  int boxes = 0;
  int counted = 0;  // invariant: as many as boxes
};
using guarded_shelf = outlive::guarded<shelf>;

constexpr int workers = 4;

[[noreturn]] void fill_and_die(guarded_shelf& shelf) {
  const auto held = shelf.lock();
  ++held->boxes;
  std::raise(SIGKILL);  // not counted, and locked
  std::_Exit(1);
}

void add(int loop, int fd, std::uint32_t what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = what;
  if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) {
    std::perror("epoll_ctl");
    std::exit(3);
  }
}

int every_10_ms() {
  const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec times{{0, 10'000'000}, {0, 10'000'000}};
  timerfd_settime(timer, 0, &times, nullptr);
  return timer;
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto repair =
      outlive::on_owner_death<shelf>(segment, "shelf", [](shelf& x, const outlive::owner_death&) {
        x.counted = x.boxes;
        return outlive::repaired;
      });
  auto& screws = segment.find_or_construct<guarded_shelf>("screws", "shelf");

  int deaths = 0;
  int repaired = 0;
  outlive::supervisor watch(segment);
  watch.on_death([&](const outlive::participant_death& death) {
    std::puts(to_string(death).c_str());
    for (const auto& line : death.recovered)
      repaired += line.outcome == outlive::recovery_outcome::repaired ? 1 : 0;
    if (death.tid != 0) return;  // of its thread only: the process is about to follow
    ++deaths;
    waitpid(death.pid, nullptr, 0);  // the supervisor leaves the status to the program
  });
  watch.on_error(
      [](const std::system_error& error) { std::fprintf(stderr, "%s\n", error.what()); });

  enum source : std::uint32_t { deaths_and_the_like, timer };
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  const int ticks = every_10_ms();
  add(loop, watch.fd(), deaths_and_the_like);
  add(loop, ticks, timer);

  int started = 0;
  while (deaths < workers) {
    std::array<epoll_event, 8> events{};
    const int count = epoll_wait(loop, events.data(), static_cast<int>(events.size()), 10'000);
    if (count == 0) return std::puts("FAILED: nothing happened for 10 s"), 1;
    for (int i = 0; i < count; ++i) {
      if (events[static_cast<std::size_t>(i)].data.u32 == deaths_and_the_like) {
        watch.dispatch();
        continue;
      }
      std::uint64_t passed = 0;
      if (read(ticks, &passed, sizeof passed) < 0 || started == workers) continue;
      ++started;
      if (fork() == 0) fill_and_die(screws);
    }
  }
  close(loop);
  close(ticks);

  const auto x = screws.lock();
  // A worker that locks before the supervisor notices repairs its predecessor's shelf. The last
  // death is the supervisor's.
  const bool good = repaired >= 1 && !x.recovered() && x->boxes == workers && x->counted == workers;
  std::puts(good ? "all deaths were met, and the shelf is right" : "FAILED");
  return good ? 0 : 1;
}
