// The descriptors that the library keeps: never 0 to 2, which a daemon has closed, and where its messages go.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>
#include <outlive/supervisor.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stop_token>
#include <system_error>
#include <vector>

#include "support/child.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

/// Runs `act` in a child that has neither standard input, output nor error: none of
/// the numbers may be in use while its result lives.
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

/// Closes all, and lets a file of the program's own get the numbers up to `last`. Returns: that of the number `last`.
int close_all_and_use(int last) {
  if (::close_range(3, ~0U, 0) != 0) throw std::system_error(errno, std::generic_category(), "close_range");
  int mine = -1;
  while (mine < last) {
    mine = ::memfd_create("mine", MFD_CLOEXEC);
    if (mine < 0) throw std::system_error(errno, std::generic_category(), "memfd_create");
  }
  return mine;
}

struct file_state {
  ino_t inode = 0;
  timespec changed{};
  explicit file_state(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return;
    inode = info.st_ino;
    changed = info.st_mtim;
  }
  bool operator==(const file_state& other) const {
    return inode == other.inode && changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
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
    if (view.locks().size() != 1 || !view.has_name() || view.owner() != ::geteuid()) wrong |= 4;  // by the name
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
    try {
      watch->run(std::stop_source().get_token());  // does not spin
      wrong |= 1;
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::bad_file_descriptor) wrong |= 2;
    }
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

}  // namespace
}  // namespace outlive::testing
