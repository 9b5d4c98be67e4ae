// What a thread is doing, according to the kernel: for reports about threads that make no progress.
#pragma once

#include <sys/types.h>

namespace outlive::detail {

struct thread_status {
  // as in /proc/TID/stat: R, S, D, T, t, Z, X; '?' if it cannot be read
  char state = '?';
  // by a debugger or another tracer
  bool traced = false;
  // its process writes a core dump
  bool dumping = false;
  // by its cgroup
  bool frozen = false;
};
// Throws std::bad_alloc.
thread_status read_thread_status(pid_t tid);

}  // namespace outlive::detail
