// What the kernel and the C library must do: without it there is no recovery.
#include <gnu/libc-version.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>

#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/segment.hpp>

#include "doctor/checks.hpp"

namespace doctor {

namespace {

// "6.1.0-13-amd64" and "2.36" alike.
bool is_at_least(const char* version, int wanted_major, int wanted_minor) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(version, "%d.%d", &major, &minor) < 2) return false;
  return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
}

struct counter {
  long steps = 0;
};

finding recovery_of(outlive::guarded<counter>& object) {
  const auto held = object.try_lock_for(std::chrono::seconds(5));
  if (!held)
    return {"killed holder", severity::fail, "its mutex was not free 5 s later",
            "Owner deaths go unnoticed here: do not use the library."};
  if (!held.recovered())
    return {"killed holder", severity::fail, "its mutex was acquired without a repair",
            "Owner deaths are not reported here: do not use the library."};
  return {"killed holder", severity::ok, "its mutex was repaired by the next locker",
          "An owner's death is noticed and repaired."};
}

finding kill_a_holder() {
  auto segment = outlive::segment::anonymous();
  const auto repair =
      outlive::on_owner_death<counter>(segment, "counter", outlive::always_consistent);
  auto& object = segment.find_or_construct<outlive::guarded<counter>>("counter", "counter");
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) throw std::runtime_error("cannot create a pipe");
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    const auto held = object.lock();
    ++held->steps;
    static_cast<void>(!::write(pipe_ends[1], "x", 1));
    for (;;) ::pause();
  }
  ::close(pipe_ends[1]);
  char byte = 0;
  const bool holds = ::read(pipe_ends[0], &byte, 1) == 1;
  ::close(pipe_ends[0]);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (!holds) throw std::runtime_error("the child could not lock");
  return recovery_of(object);
}

}  // namespace

finding kernel() {
  utsname system{};
  ::uname(&system);
  const bool old = !is_at_least(system.release, 4, 14);
  return {"kernel", old ? severity::fail : severity::ok, system.release,
          old ? "Linux 4.14 or newer is required: before it, a fork cannot be detected."
              : "It has what the library needs."};
}

finding c_library() {
  const char* const version = ::gnu_get_libc_version();
  const bool old = !is_at_least(version, 2, 34);
  return {"C library", old ? severity::warn : severity::ok, std::string("glibc ") + version,
          old ? "The library is tested with glibc 2.36. Versions from 2.34 on do the same here."
              : "It has what the library needs."};
}

finding robust_list() {
  void* head = nullptr;
  std::size_t size = 0;
  const bool there = ::syscall(SYS_get_robust_list, 0, &head, &size) == 0 && head != nullptr;
  return {
      "robust list", there ? severity::ok : severity::fail,
      there ? "the kernel has one for this thread" : "the kernel has none for this thread",
      there ? "The kernel marks the mutexes of a dead thread."
            : "A seccomp filter or an emulator drops set_robust_list: no death would be noticed."};
}

finding killed_holder() {
  try {
    return kill_a_holder();
  } catch (const std::exception& error) {
    return {"killed holder", severity::fail, error.what(),
            "The library does not work here at all."};
  }
}

}  // namespace doctor
