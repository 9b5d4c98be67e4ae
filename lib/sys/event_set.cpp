#include "sys/event_set.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <system_error>

#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

file_descriptor checked(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return file_descriptor(fd);
}

void require_ours(const file_descriptor& epoll) {
  if (epoll.is_ours()) return;
  throw std::system_error(
      EBADF, std::generic_category(),
      "supervisor: found its descriptors closed (by close_range, in a program "
      "that becomes a daemon?), expected them open: make the supervisor after that");
}

}  // namespace

event_set::event_set() : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

void event_set::add(int source, std::uint64_t key) {
  require_ours(epoll_);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, source, &event) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

void event_set::remove(int source) noexcept {
  if (!epoll_.is_ours()) return;
  epoll_event unused{};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source, &unused);
}

std::vector<std::uint64_t> event_set::ready(std::size_t most) const {
  require_ours(epoll_);
  std::array<epoll_event, 64> events;
  const int room = static_cast<int>(std::min(most, events.size()));
  const no_cancellation here;
  const int count = ::epoll_wait(epoll_.get(), events.data(), room, 0);
  std::vector<std::uint64_t> keys;
  keys.reserve(static_cast<std::size_t>(std::max(count, 0)));
  for (int i = 0; i < count; ++i) keys.push_back(events[static_cast<std::size_t>(i)].data.u64);
  return keys;
}

void event_set::wait() const {
  require_ours(epoll_);
  const no_cancellation here;
  pollfd readable{epoll_.get(), POLLIN, 0};
  ::poll(&readable, 1, -1);
}

// Reads all of it. The bytes mean nothing; only that the descriptor is readable counts.
void event_source::acknowledge() const noexcept {
  if (!source_.is_ours()) return;  // the bytes are not ours either
  const no_cancellation here;
  alignas(8) char bytes[4096];
  while (::read(source_.get(), bytes, sizeof bytes) > 0) {
  }
}

repeating_timer::repeating_timer(std::chrono::nanoseconds period)
    : event_source(checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                           "timerfd_create")) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(period);
  itimerspec times{};
  times.it_interval.tv_sec = static_cast<time_t>(whole.count());
  times.it_interval.tv_nsec = static_cast<long>((period - whole).count());
  times.it_value = times.it_interval;
  if (::timerfd_settime(source_.get(), 0, &times, nullptr) != 0)
    throw std::system_error(errno, std::generic_category(), "timerfd_settime");
}

wake_up::wake_up() : event_source(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {}

void wake_up::notify() const noexcept {
  if (!source_.is_ours()) return;
  const no_cancellation here;
  const std::uint64_t one = 1;
  // fails only if it is readable already
  [[maybe_unused]] const auto written = ::write(source_.get(), &one, sizeof one);
}

// By /proc/self/fd: a memfd has no other path, and a named segment's name may lead to another one
// by now.
change_watch::change_watch(int file)
    : event_source(checked(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1")) {
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (::inotify_add_watch(source_.get(), path.c_str(), IN_ATTRIB) < 0) {
    throw std::system_error(errno, std::generic_category(), "inotify_add_watch of " + path);
  }
}

// Sets both times at once, which inotify reports as IN_ATTRIB, while either of them alone would be
// IN_MODIFY or IN_ACCESS. A raw call: libc's may be a cancellation point.
void announce_change(int file) noexcept {
  ::syscall(SYS_utimensat, file, nullptr, nullptr, 0);
}

}  // namespace outlive::detail
