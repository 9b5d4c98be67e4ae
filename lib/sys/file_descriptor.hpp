// file_descriptor: owns a file descriptor, which is close-on-exec and never 0 to 2: if a process
// has closed its standard error, the next file gets that number, and messages would be written into
// it.
//
// A program that becomes a daemon closes all numbers (close_range), and a file of its own may get
// one of them next. So code asks is_ours() before each use of a descriptor that it keeps, and the
// destructor closes only its own. Kernel files that share an inode (epoll, eventfd, timerfd,
// inotify, pidfd) get a mark, which differs from the program's own files, and from all but every
// 31st other file of the library.
#pragma once

#include <cstdint>
#include <utility>

namespace outlive::detail {

class file_descriptor {
 public:
  enum class opened { here, elsewhere };
  file_descriptor() noexcept = default;
  // Moves one of 0 to 2 above them. Empty, with errno set, if `fd` is negative or cannot be moved.
  // A file opened elsewhere, which others use too, gets no mark.
  explicit file_descriptor(int fd, opened by = opened::here) noexcept;
  file_descriptor(file_descriptor&& other) noexcept { *this = std::move(other); }
  file_descriptor& operator=(file_descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(mark_, other.mark_);
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    return *this;
  }
  ~file_descriptor();
  [[nodiscard]] int get() const noexcept { return fd_; }
  // Whether the number still leads to the same file. Async-signal-safe.
  [[nodiscard]] bool is_ours() const noexcept;
  // The number, or -1 unless is_ours().
  [[nodiscard]] int get_if_ours() const noexcept { return is_ours() ? fd_ : -1; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
  int mark_ = 0;  // F_GETSIG of the open file; 0: not marked
  std::uint64_t device_ = 0, inode_ = 0;
};

// Whether the number is in the last quarter of those that the process may have: then it has few
// left. The kernel gives the lowest free number, so that those below it are all in use.
bool is_in_reserve(int fd) noexcept;

}  // namespace outlive::detail
