// Forks: how a child notices that it is one.
//
// Memory that the kernel wipes in the child (MADV_WIPEONFORK) tells it without a system call and
// whatever made the child, raw clone included. getpid() is no test: it costs a system call since
// glibc 2.25, and a pid can come back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlive::detail {

// A line of memory that reads as zero: now, and in a forked child. Throws std::bad_alloc.
inline constexpr std::size_t wiped_line_bytes = 64;
void* allocate_wiped_on_fork();
// Gives it back, for the next thread.
void free_wiped_on_fork(void* line) noexcept;

// A number that is this process's own: it differs between a process and every child that it forks.
// Never 0.
// Requires: prepare_process_epoch() has returned once in the process or an ancestor; otherwise it
//   is called here, and must not fail.
std::uint64_t process_epoch() noexcept;
// Throws std::bad_alloc, and std::system_error where the kernel cannot wipe memory on fork. To be
//   called before a segment is made or opened.
void prepare_process_epoch();

// Calls `prepare` before each fork, and `release` after it in parent and child: for locks that a
// child must not inherit from a thread that it does not have.
void around_fork(void (*prepare)(), void (*release)());

}  // namespace outlive::detail
