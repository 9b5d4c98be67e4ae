// thread_identity: who a thread is, or was, as its record in a segment says. held_lock: a mutex
// that it holds. Both are plain values: they stay valid when the thread is gone.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <cstdint>
#include <string>

#include <outlive/detail/export.hpp>
#include <outlive/thread_stack.hpp>

namespace outlive {

class robust_mutex;

struct thread_identity {
  bool known = false;  // false: its record was gone; then all other members are empty
  pid_t pid = 0;
  pid_t tid = 0;
  // Of the thread, in clock ticks since boot, as in /proc/TID/stat.
  std::uint64_t start_time = 0;
  std::uint64_t note = 0;  // what it last gave to outlive::note()
  std::string thread_name = "unknown";
  std::string command_name = "unknown";  // of its process
};

// Returns: "pid 4711 tid 4712 (worker/count) started 123456", for messages and logs; "unknown" if
// the
//   thread is unknown.
[[nodiscard]] OUTLIVE_API std::string to_string(const thread_identity& thread);

// A mutex that a thread holds, or was acquiring or releasing.
struct held_lock {
  const robust_mutex* mutex = nullptr;  // in this process; nullptr in a segment_view
  std::uint64_t mutex_offset = 0;       // from the segment's base
  // Of the object that contains it; "unknown" if none does. A segment_view leaves this and the lock
  // class "unknown": its lock_at() has both.
  std::string mutex_name = "unknown";
  std::string lock_class = "unknown";
  bool held = false;        // false: the thread was about to acquire it, or had released it
  stack_frame acquired_at;  // the call, without the function's name: see name_function()
};

}  // namespace outlive
