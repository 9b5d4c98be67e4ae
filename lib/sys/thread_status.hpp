// What the kernel says that a thread is doing: for reports about threads that do not get on.
#pragma once

#include <sys/types.h>

namespace outlive::detail {

struct thread_status {
  // as /proc/TID/stat has it: R, S, D, T, t, Z, X; '?' where it cannot be read
  char state = '?';
  // a debugger, or another tracer, has it
  bool traced = false;
  // its process writes a core dump
  bool dumping = false;
  // by its cgroup
  bool frozen = false;
};
// Throws std::bad_alloc.
thread_status read_thread_status(pid_t tid);

}  // namespace outlive::detail
