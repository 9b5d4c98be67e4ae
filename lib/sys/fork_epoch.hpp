// Forks: how a child finds out that it is one.
//
// The kernel wipes some memory in the child (MADV_WIPEONFORK). This needs no system call, and works
// however the child was made, by a raw clone too. getpid() is no test: since glibc 2.25 it is a
// system call, and a pid can be reused.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlive::detail {

// A line of memory that reads as zero, now and in a forked child. Throws std::bad_alloc.
inline constexpr std::size_t wiped_line_bytes = 64;
void* allocate_wiped_on_fork();
// Frees the line, for the next thread.
void free_wiped_on_fork(void* line) noexcept;

// A number that differs between a process and every child that it forks. Never 0.
// Requires: prepare_process_epoch() has returned once in the process or an ancestor; otherwise it
//   is called here, and must not fail.
std::uint64_t process_epoch() noexcept;
// To be called before a segment is made or opened. Throws std::bad_alloc, and std::system_error if
// the kernel cannot wipe memory on fork.
void prepare_process_epoch();

// Calls `prepare` before each fork, and `release` after it in parent and child: for locks that a
// child must not inherit from a thread that it does not have.
void around_fork(void (*prepare)(), void (*release)());

}  // namespace outlive::detail
