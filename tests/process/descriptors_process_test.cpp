// The descriptors that the library keeps: never 0 to 2, which a daemon has closed, and where its messages go.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>
#include <outlive/supervisor.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <memory>

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

}  // namespace
}  // namespace outlive::testing
