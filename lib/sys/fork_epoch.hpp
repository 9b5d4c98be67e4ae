// Forks: how a child notices that it is one.
//
// Memory that the kernel wipes in the child (MADV_WIPEONFORK) tells it without a system call and whatever made the child,
// raw clone included. getpid() is no test: it costs a system call since glibc 2.25, and a pid can come back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlive::detail {

// Memory that reads as zero in a forked child. Never given back: a few bytes for each thread that ever used a lock.
// Throws std::bad_alloc.
void* allocate_wiped_on_fork(std::size_t size);

// A number that is this process's own: it differs between a process and every child that it forks. Never 0.
std::uint64_t process_epoch() noexcept;

// Calls `prepare` before each fork, and `release` after it in parent and child: for locks that a child must not inherit
// from a thread that it does not have.
void around_fork(void (*prepare)(), void (*release)());

}  // namespace outlive::detail
