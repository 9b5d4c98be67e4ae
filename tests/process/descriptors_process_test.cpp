// The descriptors that the library keeps: never 0 to 2, which a daemon has closed, and where its
// messages go.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>
#include <outlive/supervisor.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "support/child.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

/// Runs `act` in a child that has neither standard input, output nor error: none of the numbers may
/// be in use while its result lives.
template <class Act>
void expect_standard_numbers_free(Act act, source_line at = source_line::here()) {
  child daemon("daemon", [&](agent&) {
    for (const int number : {0, 1, 2}) ::close(number);
    const auto kept = act();
    int used = 0;
    for (const int number : {0, 1, 2}) {
      if (::fcntl(number, F_GETFD) >= 0) used |= 1 << number;
    }
    ::_exit(40 + used);
  });
  daemon.expect_exit(40, at);
}

TEST(descriptors, a_segment_keeps_none_of_the_standard_numbers) {
  const test_name name, made;
  const segment seg = segment::create(name);
  expect_standard_numbers_free([&] { return segment::open(name); });
  expect_standard_numbers_free([&] { return segment::create(made); });
  expect_standard_numbers_free([&] { return segment::anonymous(); });
  expect_standard_numbers_free([&] { return segment::from_fd(seg.fd()); });
  expect_standard_numbers_free([&] { return segment_view::open(name); });
}

TEST(descriptors, a_supervisor_keeps_none_of_the_standard_numbers) {
  const test_name name;
  segment seg = segment::create(name);
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  child worker("worker", [&](agent& parent) {
    ++*count.lock();
    parent.tell("there");
    parent.await("end");
  });
  worker.wait_for("there");
  expect_standard_numbers_free([&] {
    auto watch = std::make_unique<supervisor>(seg);
    watch->dispatch();  // it has a handle of the worker, too
    return watch;
  });
  worker.tell("end");
  worker.expect_exit();
}

TEST(descriptors, a_message_of_a_daemon_without_standard_error_does_not_get_into_the_segment) {
  const test_name name;
  { segment::create(name).find_or_construct<int>("answer", 42); }
  child daemon("daemon", [&](agent&) {
    ::close(STDERR_FILENO);
    const segment seg = segment::open(name);
    (void)!::write(STDERR_FILENO, "daemon: a warning\n", 18);
    ::_exit(seg.fd() > STDERR_FILENO ? 40 : 41);
  });
  daemon.expect_exit(40);
  EXPECT_EQ(*segment::open(name).find<int>("answer"), 42);
}

/// Closes all, and lets a file of the program's own get the numbers up to `last`. Returns: that of
/// the number `last`.
int close_all_and_use(int last) {
  if (::close_range(3, ~0U, 0) != 0)
    throw std::system_error(errno, std::generic_category(), "close_range");
  int mine = -1;
  while (mine < last) {
    mine = ::memfd_create("mine", MFD_CLOEXEC);
    if (mine < 0) throw std::system_error(errno, std::generic_category(), "memfd_create");
  }
  return mine;
}

struct file_state {
  ino_t inode = 0;
  off_t size = 0;
  timespec changed{};
  explicit file_state(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return;
    inode = info.st_ino;
    size = info.st_size;
    changed = info.st_mtim;
  }
  bool operator==(const file_state& other) const {
    return inode == other.inode && size == other.size && changed.tv_sec == other.changed.tv_sec &&
           changed.tv_nsec == other.changed.tv_nsec;
  }
};

TEST(descriptors, a_file_that_gets_the_segments_number_is_left_alone) {
  const test_name name;
  { segment::create(name).find_or_construct<guarded<int>>("count", "count", 7); }
  child daemon("daemon", [&](agent&) {
    std::optional<segment> seg = segment::open(name);
    const int number = seg->fd();
    const int mine = close_all_and_use(number);
    const file_state before(mine);
    int wrong = 0;
    if (seg->fd() != -1) wrong |= 1;
    if (*seg->find<guarded<int>>("count")->lock() != 7) wrong |= 2;
    const segment_view view(*seg);
    // by the name
    if (view.locks().size() != 1 || !view.has_name() || view.owner() != ::geteuid()) wrong |= 4;
    // A child joins the segment, and announces that by the file's times.
    const pid_t forked = ::fork();
    if (forked == 0) {
      ++*seg->find<guarded<int>>("count")->lock();
      ::_exit(0);
    }
    int status = -1;
    ::waitpid(forked, &status, 0);
    if (status != 0 || *seg->find<guarded<int>>("count")->lock() != 8) wrong |= 8;
    if (!(file_state(mine) == before)) wrong |= 16;
    // Opened again it has a descriptor again.
    if (segment::open(name).fd() < 0 || seg->fd() < 0) wrong |= 32;
    ::_exit(40 + wrong);
  });
  daemon.expect_exit(40);
}

TEST(descriptors, a_file_that_gets_the_number_stays_open_at_the_segments_end) {
  child daemon("daemon", [&](agent&) {
    std::optional<segment> seg = segment::anonymous();
    ++*seg->find_or_construct<guarded<int>>("count", "count", 7).lock();
    const int mine = close_all_and_use(seg->fd());
    const file_state before(mine);
    const bool looked = segment_view(*seg).locks().size() == 1;
    seg.reset();
    ::_exit(40 + (file_state(mine) == before ? 0 : 1) + (looked ? 0 : 2));
  });
  daemon.expect_exit(40);
}

TEST(descriptors, a_supervisor_without_its_descriptors_says_so_and_touches_no_others) {
  const test_name name;
  segment seg = segment::create(name);
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  child worker("worker", [&](agent& parent) {
    ++*count.lock();
    parent.tell("there");
    parent.await("end");
  });
  worker.wait_for("there");
  child daemon("daemon", [&](agent&) {
    auto watch = std::make_unique<supervisor>(seg);
    int deaths = 0, wrong = 0;
    watch->on_death([&](const participant_death&) { ++deaths; });
    watch->dispatch();
    int last = watch->fd();
    for (int number = 3; number < 64; ++number) {
      if (::fcntl(number, F_GETFD) >= 0) last = number;
    }
    close_all_and_use(last);
    std::vector<file_state> before;
    for (int number = 3; number <= last; ++number) before.emplace_back(number);
    try {
      watch->dispatch();
      wrong |= 1;
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::bad_file_descriptor) wrong |= 2;
    }
    std::stop_source stopped;
    try {
      watch->run(stopped.get_token());  // does not spin
      wrong |= 1;
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::bad_file_descriptor) wrong |= 2;
    }
    stopped.request_stop();
    watch->run(stopped.get_token());  // whoever waits would be woken by a write
    watch.reset();
    for (int number = 3; number <= last; ++number) {
      if (!(file_state(number) == before[static_cast<std::size_t>(number - 3)])) wrong |= 4;
    }
    ::_exit(40 + wrong + (deaths == 0 ? 0 : 8));  // the worker lives
  });
  daemon.expect_exit(40);
  worker.tell("end");
  worker.expect_exit();
}

/// The descriptors of this process that lead to a file of that kind, without those of `before`.
std::vector<int> numbers_of(const std::string& kind, const std::vector<int>& before = {}) {
  std::vector<int> found;
  for (int number = 3; number < 1024; ++number) {
    char leads_to[64];
    const ssize_t size =
        ::readlink(("/proc/self/fd/" + std::to_string(number)).c_str(), leads_to, sizeof leads_to);
    if (size <= 0 || std::string_view(leads_to, static_cast<std::size_t>(size)) != kind) continue;
    if (std::find(before.begin(), before.end(), number) == before.end()) found.push_back(number);
  }
  return found;
}

// A memfd can always be read, as the handle of a process that has ended can.
TEST(descriptors, a_file_that_gets_the_number_of_a_processs_handle_tells_no_death) {
  const test_name name;
  segment seg = segment::create(name);
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  child worker("worker", [&](agent& parent) {
    ++*count.lock();
    parent.tell("there");
    parent.await("end");
  });
  worker.wait_for("there");
  child daemon("daemon", [&](agent& parent) {
    const std::vector<int> others = numbers_of("anon_inode:[pidfd]");
    auto watch = std::make_unique<supervisor>(seg);
    int deaths = 0, wrong = 0;
    watch->on_death([&](const participant_death&) { ++deaths; });
    watch->dispatch();
    const std::vector<int> handles = numbers_of("anon_inode:[pidfd]", others);
    const int mine = ::memfd_create("mine", MFD_CLOEXEC);
    for (const int handle : handles) ::dup3(mine, handle, O_CLOEXEC);
    if (handles.empty()) wrong |= 1;
    const auto look = [&] {
      ::fchmod(seg.fd(), 0600);  // what it looks at the processes for
      pollfd ready{watch->fd(), POLLIN, 0};
      if (::poll(&ready, 1, static_cast<int>(default_timeout().count())) != 1)
        throw timed_out("something to look at");
      watch->dispatch();
    };
    look();
    if (deaths != 0) wrong |= 2;  // the worker lives
    for (const int handle : handles) {
      if (!(file_state(handle) == file_state(mine))) wrong |= 4;
    }
    parent.tell("looked");
    parent.await("ended");
    const deadline end(default_timeout());
    while (deaths == 0 && !end.passed()) look();
    if (deaths != 1) wrong |= 8;  // by a handle that it got anew
    ::_exit(40 + wrong);
  });
  daemon.wait_for("looked");
  worker.tell("end");
  worker.expect_exit();
  daemon.tell("ended");
  daemon.expect_exit(40);
}

// A forked child still has the timer, so that epoll goes on telling of it.
TEST(descriptors, a_pipe_that_gets_the_number_of_the_timer_is_not_read) {
  const test_name name;
  segment seg = segment::create(name);
  child daemon("daemon", [&](agent&) {
    const std::vector<int> others = numbers_of("anon_inode:[timerfd]");
    supervisor_options options;
    options.sweep = milliseconds(10);
    supervisor watch(seg, options);
    watch.dispatch();
    const std::vector<int> timers = numbers_of("anon_inode:[timerfd]", others);
    child keeper("keeper", [](agent& parent) {
      parent.tell("there");
      parent.pause_forever();
    });
    keeper.wait_for("there");
    int ends[2];
    int wrong = ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && ::write(ends[1], "x", 1) == 1 &&
                        !timers.empty()
                    ? 0
                    : 1;
    for (const int timer : timers) ::dup3(ends[0], timer, O_CLOEXEC);
    for (int i = 0; i < 3; ++i) {
      pollfd ready{watch.fd(), POLLIN, 0};
      if (::poll(&ready, 1, static_cast<int>(default_timeout().count())) != 1) wrong |= 2;
      watch.dispatch();
    }
    char byte = 0;
    if (::read(ends[0], &byte, 1) != 1) wrong |= 4;
    keeper.kill();
    keeper.expect_killed();
    ::_exit(40 + wrong);
  });
  daemon.expect_exit(40);
}

int last_number() {
  int last = -1;
  for (int number = 3; number < 64; ++number) {
    if (::fcntl(number, F_GETFD) >= 0) last = number;
  }
  return last;
}

/// What a supervisor has, and a program may make, too: all share one inode, or that of a process.
enum class kind { event, timer, epoll, inotify, process };

int make(kind of) {
  switch (of) {
    case kind::event: return ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    case kind::timer: return ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    case kind::epoll: return ::epoll_create1(EPOLL_CLOEXEC);
    case kind::inotify: return ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    case kind::process: return static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0));
  }
  return -1;
}

TEST(descriptors, a_file_without_an_inode_that_gets_a_supervisors_number_is_left_alone) {
  const test_name name;
  segment seg = segment::create(name);
  for (const kind of : {kind::event, kind::timer, kind::epoll, kind::inotify, kind::process}) {
    SCOPED_TRACE(static_cast<int>(of));
    child daemon("daemon", [&](agent&) {
      ++*seg.find_or_construct<guarded<int>>("count", "count", 0).lock();
      auto watch = std::make_unique<supervisor>(seg);
      watch->dispatch();
      const int last = last_number();
      if (watch->fd() < 0 || ::close_range(3, ~0U, 0) != 0) ::_exit(1);
      while (last_number() < last) {
        if (make(of) < 0) ::_exit(2);
      }
      int wrong = watch->fd() == -1 ? 0 : 1;
      try {
        watch->dispatch();
        wrong |= 2;
      } catch (const std::system_error& error) {
        if (error.code() != std::errc::bad_file_descriptor) wrong |= 2;
      }
      watch.reset();
      for (int number = 3; number <= last; ++number) {
        eventfd_t count = 0;
        if (::fcntl(number, F_GETFD) < 0) wrong |= 4;
        if (of == kind::event && (::eventfd_read(number, &count) != 0 || count != 1)) wrong |= 8;
      }
      ::_exit(40 + wrong);
    });
    daemon.expect_exit(40);
  }
}

TEST(descriptors, a_supervisor_that_gets_anothers_numbers_keeps_them) {
  const test_name name;
  segment seg = segment::create(name);
  child daemon("daemon", [&](agent&) {
    auto former = std::make_unique<supervisor>(seg);
    if (::close_range(3, ~0U, 0) != 0) ::_exit(1);
    supervisor watch(seg);
    watch.on_error([](const std::system_error&) {});  // the segment's file cannot be watched
    former.reset();
    int wrong = watch.fd() >= 0 ? 0 : 1;
    try {
      watch.dispatch();
    } catch (const std::system_error&) {
      wrong |= 2;
    }
    ::_exit(40 + wrong);
  });
  daemon.expect_exit(40);
}

}  // namespace
}  // namespace outlive::testing
