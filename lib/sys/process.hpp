// Processes and threads: identity and death.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

namespace outlive::detail {

pid_t current_pid() noexcept;
pid_t current_tid() noexcept;

using short_name = std::array<char, 16>;  // a thread's or command's name, with its terminating zero
short_name current_thread_name() noexcept;
// Of a process: its main thread's name. Empty if there is no such process.
short_name command_name_of(pid_t pid) noexcept;
short_name current_command_name() noexcept;

// Start time of a thread in clock ticks since boot, as in /proc/TID/stat. 0 if it cannot be read,
// or if /proc shows another PID namespace, where the number means another thread.
std::uint64_t start_time_of(pid_t tid) noexcept;

// Inode of this process's PID namespace; 0 if /proc cannot be read. A thread has another id in each
// namespace (hazard A30).
std::uint64_t pid_namespace_inode() noexcept;

// Inode of this process's time namespace, cut to 32 bits; 0 if the kernel has none. /proc shows
// another start time of a thread in each namespace, so a living owner would be judged dead.
std::uint32_t time_namespace_inode() noexcept;

using boot_id = std::array<char, 16>;
// Identity of this boot of the machine. A file from an earlier boot names dead threads (hazard
// A22). `error`: 0, or an errno value if it cannot be read now; then the identity is meaningless.
boot_id current_boot_id(int& error) noexcept;

// Whether thread `tid` of process `pid`, started at `start_time` (0: not known), is certainly dead:
// the kernel has no such thread, or /proc shows a zombie or another start time. A missing entry of
// /proc proves nothing (hidepid).
bool is_thread_dead(pid_t pid, pid_t tid, std::uint64_t start_time) noexcept;

// The same for a thread of any process, with the low half of its start time.
bool is_bearer_dead(pid_t tid, std::uint32_t start_time) noexcept;

// Whether no process of this PID namespace has a thread of that id.
bool is_thread_id_free(pid_t tid) noexcept;

// Whether process `pid` is certainly dead, with all its threads. A process whose main thread has
// ended while others run is alive, although /proc shows a zombie.
bool is_process_dead(pid_t pid) noexcept;

// Whether process `pid` has one thread, and that is ending: the kernel releases its mutexes then,
// and a moment later reports the end of the process. False if /proc does not say.
bool is_ending(pid_t pid) noexcept;

std::uint32_t effective_user() noexcept;

}  // namespace outlive::detail
