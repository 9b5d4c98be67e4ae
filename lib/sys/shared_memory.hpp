// Shared memory: files under /dev/shm and memfds, and their mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace outlive::detail {

// Owns a file descriptor; all are opened close-on-exec. Never 0 to 2: a process that has closed its
// standard error gets that number next, and its messages go wherever the number leads to. And no
// longer than the number is its own: a program that becomes a daemon closes all numbers
// (close_range), and a file of its own gets one of them next. So what is kept is asked is_ours()
// before each use, and is closed only if it is. Files of the kernel that share an inode (epoll,
// eventfd, timerfd, inotify, pidfd) bear a mark, by which they are told from the program's own, and
// from all but every 31st other of the library's.
class file_descriptor {
 public:
  enum class opened { here, elsewhere };
  file_descriptor() noexcept = default;
  // One of 0 to 2 is moved above them. Empty, with errno set, if `fd` is negative or cannot be
  // moved. A file that was opened elsewhere, which somebody else uses, too, gets no mark.
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
  // Whether the number still leads to the file that it was given for. Async-signal-safe.
  [[nodiscard]] bool is_ours() const noexcept;
  // The number, or -1 if it is not ours any more.
  [[nodiscard]] int get_if_ours() const noexcept { return is_ours() ? fd_ : -1; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
  int mark_ = 0;  // what F_GETSIG says of the open file; 0: not marked
  std::uint64_t device_ = 0, inode_ = 0;
};

namespace shared_memory {

struct file_info {
  std::uint64_t device, inode, size;
  // bytes that it has memory for: less than the size where there are holes
  std::uint64_t allocated;
  std::uint32_t owner;
  unsigned mode;              // permission bits
  const char* other_kind;     // "a FIFO", "a socket" ...; nullptr: a regular file
  std::uint64_t links;        // names that the file has
  std::uint64_t file_system;  // its type, as statfs(2) tells it
};

inline constexpr std::uint64_t tmpfs = 0x01021994;  // statfs(2)'s TMPFS_MAGIC
// Throws std::system_error.
std::uint64_t file_system_at(const std::string& path);

// A file without a name in the folder of named segments, with all its space reserved. Throws
// std::system_error: ENOSPC, EFBIG.
file_descriptor create_unnamed(const std::string& folder, std::uint64_t size, unsigned mode);
// A memfd that cannot shrink, with all its space reserved. Throws std::system_error.
file_descriptor create_memfd(const std::string& name, std::uint64_t size);
// Gives a file of create_unnamed() its name: the one step by which a segment appears. False: the
// name is taken. Throws.
bool link(int fd, const std::string& path);
// Opens an existing file; an empty descriptor when there is none. Does not follow a symbolic link,
// and waits for nobody: not for the other end of a FIFO, nor for the holder of a lease. Throws
// std::system_error.
file_descriptor open(const std::string& path);
// The same, without the permission to write.
file_descriptor open_to_read(const std::string& path);
// What lies there, if it is no regular file: "a FIFO", "a symbolic link" ...; nullptr: a regular
// file, or nothing.
const char* other_kind_at(const std::string& path) noexcept;
// Opens a second descriptor of the same file. Throws std::system_error.
file_descriptor duplicate(int fd);
// False when there was none. Throws std::system_error.
bool unlink(const std::string& path);
// In one step: `to` leads to the one file or to the other. Throws.
void rename(const std::string& from, const std::string& to);

file_info inspect(int fd);
// Of what lies there now, be it a file of ours or not; nothing when there is none. Throws.
std::optional<file_info> inspect_path(const std::string& path);
// Whether the file is a memfd that cannot shrink: reachable by no path, so that its mode says
// nothing.
bool is_memfd(int fd) noexcept;
// Reads from the start of the file; returns the bytes read. Throws std::system_error.
std::size_t read_start(int fd, void* buffer, std::size_t size);

// Maps the whole file, shared and writable, left out of core dumps (hazard A49). Throws
// std::system_error, whose message names the limit of the process that it met.
void* map(int fd, std::uint64_t size);
// The same, read-only: a store to it is a SIGSEGV.
void* map_to_read(int fd, std::uint64_t size);
void unmap(void* base, std::uint64_t size) noexcept;

}  // namespace shared_memory

}  // namespace outlive::detail
