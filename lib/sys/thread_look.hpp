// What the kernel says that a thread is doing: for reports about threads that do not get on.
#pragma once

#include <sys/types.h>

namespace outlive::detail {

struct thread_look {
  char state = '?';      // as /proc/TID/stat has it: R, S, D, T, t, Z, X; '?' where it cannot be read
  bool traced = false;   // a debugger, or another tracer, has it
  bool dumping = false;  // its process writes a core dump
  bool frozen = false;   // by its cgroup
};
// Throws std::bad_alloc.
thread_look look_at_thread(pid_t tid);

}  // namespace outlive::detail
