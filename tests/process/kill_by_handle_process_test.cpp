// A supervisor kills by a handle of the process, and no other process that the number of its handle
// leads to by now.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>
#include <outlive/supervisor.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/child.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

std::vector<int> handles_of_processes() {
  std::vector<int> found;
  for (int number = 3; number < 1024; ++number) {
    char leads_to[64];
    const ssize_t size =
        ::readlink(("/proc/self/fd/" + std::to_string(number)).c_str(), leads_to, sizeof leads_to);
    if (size > 0 &&
        std::string_view(leads_to, static_cast<std::size_t>(size)) == "anon_inode:[pidfd]")
      found.push_back(number);
  }
  return found;
}

// A program that becomes a daemon closes all it has, and opens handles of its own. Then the
// supervisor opens another one, and makes sure whose it is.
TEST(kill_by_handle, a_process_that_gets_the_number_of_anothers_handle_is_not_killed) {
  const test_name name;
  segment seg = segment::create(name);
  auto& count = seg.find_or_construct<guarded<int>>("count", "count", 0);
  child holder("holder", [&](agent& parent) {
    auto held = count.lock();
    parent.tell("inside");
    parent.await("end");
  });
  holder.wait_for("inside");
  child bystander("bystander", [](agent& parent) { parent.await("end"); });
  child daemon("daemon", [&](agent&) {
    supervisor_options options;
    options.sweep = milliseconds(10);
    supervisor watch(seg, options);
    std::optional<hung_owner> hung;
    watch.on_hung(milliseconds(1), [&](const hung_owner& told) { hung = told; });
    const deadline end(default_timeout());
    while (!hung && !end.passed()) {
      pollfd ready{watch.fd(), POLLIN, 0};
      ::poll(&ready, 1, 100);
      watch.dispatch();
    }
    if (!hung) ::_exit(41);
    const int other = static_cast<int>(::syscall(SYS_pidfd_open, bystander.pid(), 0));
    for (const int handle : handles_of_processes()) {
      if (handle != other) ::dup3(other, handle, O_CLOEXEC);
    }
    const auto death = watch.kill_and_recover(*hung);
    ::_exit(death && death->pid == holder.pid() ? 40 : 42);
  });
  daemon.expect_exit(40);
  bystander.tell("end");
  bystander.expect_exit();
  EXPECT_TRUE(holder.wait().killed_by(SIGKILL));
}

}  // namespace
}  // namespace outlive::testing
