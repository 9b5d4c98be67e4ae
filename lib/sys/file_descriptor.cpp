#include "sys/file_descriptor.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

// Marks the open file by the signal that it would send under O_ASYNC, which is never set; 0 unless
// somebody chose one. The marks rotate, so that the files of one supervisor and the next, which may
// get the same numbers, differ. Returns: the mark, or 0 if the kernel refuses it; then device and
// inode alone count.
int mark(int fd) noexcept {
  static constinit std::atomic<unsigned> count{0};
  const auto signals = static_cast<unsigned>(SIGRTMAX - SIGRTMIN + 1);
  const unsigned turn = count.fetch_add(1, std::memory_order_relaxed) % signals;
  const int chosen = SIGRTMAX - static_cast<int>(turn);
  return ::fcntl(fd, F_SETSIG, chosen) == 0 ? chosen : 0;
}

// Files that share one inode have no type: eventfd, timerfd, epoll, inotify, and pidfd.
bool shares_inode(mode_t mode) noexcept {
  return (mode & S_IFMT) == 0;
}

}  // namespace

file_descriptor::file_descriptor(int fd, opened by) noexcept : fd_(fd) {
  if (fd >= 0 && fd <= STDERR_FILENO) {
    fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    const no_cancellation here;
    ::close(fd);
    errno = error;
  }
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) return;
  device_ = info.st_dev;
  inode_ = info.st_ino;
  if (by == opened::here && shares_inode(info.st_mode)) mark_ = mark(fd_);
}

bool file_descriptor::is_ours() const noexcept {
  struct stat info {};
  const int before = errno;
  bool same = fd_ >= 0 && ::fstat(fd_, &info) == 0;
  if (same) same = info.st_dev == device_ && info.st_ino == inode_;
  if (same && mark_ != 0) same = ::fcntl(fd_, F_GETSIG) == mark_;
  errno = before;
  return same;
}

file_descriptor::~file_descriptor() {
  if (!is_ours()) return;
  const no_cancellation here;  // a thread cannot be unwound out of a destructor
  ::close(fd_);                // libc's: ThreadSanitizer must see that the number may be reused
}

bool is_in_reserve(int fd) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  return static_cast<rlim_t>(fd) >= limit.rlim_cur - limit.rlim_cur / 4;
}

}  // namespace outlive::detail
