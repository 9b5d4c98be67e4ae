// Processes and threads: who am I, who is dead.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

namespace outlive::detail {

pid_t current_pid() noexcept;
pid_t current_tid() noexcept;

using short_name = std::array<char, 16>;  // a thread's or command's name, with its terminating zero
short_name current_thread_name() noexcept;
short_name current_command_name() noexcept;

// Start time of a thread in clock ticks since boot, as /proc/TID/stat tells it; 0 where it cannot
// be read, or where /proc is that of another PID namespace, in which the number is a stranger's.
std::uint64_t start_time_of(pid_t tid) noexcept;

// Inode of this process's PID namespace; 0 where /proc cannot be read. Two namespaces give one
// thread two ids (hazard A30).
std::uint64_t pid_namespace_inode() noexcept;

// Inode of this process's time namespace, cut to 32 bits; 0 where the kernel has none. In two of
// them /proc tells two start times of one thread, and a living owner would be judged dead.
std::uint32_t time_namespace_inode() noexcept;

using boot_id = std::array<char, 16>;
// Identity of this boot of the machine. A file that outlived a boot names dead threads (hazard
// A22). `error`: 0, or why it cannot be read now, as errno has it; then the identity says nothing.
boot_id current_boot_id(int& error) noexcept;

// Whether thread `tid` of process `pid`, which had begun at `start_time` (0: not known), is
// certainly dead: the kernel has no such thread, or /proc tells a zombie or another start time. An
// absent entry of /proc alone proves nothing (hidepid).
bool is_thread_dead(pid_t pid, pid_t tid, std::uint64_t start_time) noexcept;

// The same of a thread of whatever process, of whose start time the low half is known.
bool is_bearer_dead(pid_t tid, std::uint32_t start_time) noexcept;

// Whether no thread of that id exists in any process of this PID namespace.
bool is_thread_id_free(pid_t tid) noexcept;

// Whether process `pid` is certainly dead, with all of its threads. A process whose main thread has
// ended while others run is alive, although /proc calls it a zombie.
bool is_process_dead(pid_t pid) noexcept;

std::uint32_t effective_user() noexcept;

}  // namespace outlive::detail
