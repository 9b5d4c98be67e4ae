// Shared memory: files under /dev/shm and memfds, and their mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "sys/file_descriptor.hpp"

namespace outlive::detail {

// A store to a read-only mapping is a SIGSEGV.
enum class file_access { read_only, read_write };

namespace shared_memory {

struct file_info {
  std::uint64_t device, inode, size;
  // bytes backed by memory: fewer than `size` if there are holes
  std::uint64_t allocated;
  std::uint32_t owner;
  unsigned mode;              // permission bits
  const char* other_kind;     // "a FIFO", "a socket" ...; nullptr: a regular file
  std::uint64_t links;        // number of names
  std::uint64_t file_system;  // its type, as in statfs(2)
};

inline constexpr std::uint64_t tmpfs = 0x01021994;  // statfs(2)'s TMPFS_MAGIC
// Throws std::system_error.
std::uint64_t file_system_at(const std::string& path);

// A file without a name in the folder of named segments, with all its space reserved. Throws
// std::system_error: ENOSPC, EFBIG.
file_descriptor create_unnamed(const std::string& folder, std::uint64_t size, unsigned mode);
// A memfd that cannot shrink, with all its space reserved. Throws std::system_error.
file_descriptor create_memfd(const std::string& name, std::uint64_t size);
// Gives a file of create_unnamed() its name: the one step by which a segment appears. False if the
// name is taken. Throws.
bool link(int fd, const std::string& path);
// Opens an existing file; an empty descriptor if there is none. Does not follow a symbolic link.
// Does not wait for the other end of a FIFO or for the holder of a lease. Throws std::system_error.
file_descriptor open(const std::string& path, file_access access);
// "a FIFO", "a symbolic link" ...; nullptr for a regular file, or nothing at all.
const char* other_kind_at(const std::string& path) noexcept;
// Opens a second descriptor of the same file. Throws std::system_error.
file_descriptor duplicate(int fd);
// False if there was none. Throws std::system_error.
bool unlink(const std::string& path);
// Atomic: `to` leads to the one file or to the other. Throws.
void rename(const std::string& from, const std::string& to);

file_info inspect(int fd);
// Of any file at that path; nothing if there is none. Throws.
std::optional<file_info> inspect_path(const std::string& path);
// Whether the file is a memfd that cannot shrink. No path leads to it, so its mode means nothing.
bool is_memfd(int fd) noexcept;
// Reads from the start of the file; returns the bytes read. Throws std::system_error.
std::size_t read_start(int fd, void* buffer, std::size_t size);

void unmap(void* base, std::uint64_t size) noexcept;

}  // namespace shared_memory

// Maps a whole file, shared, excluded from core dumps (hazard A49), until release() hands the pages
// over: making their owner may run out of memory.
class mapped_pages {
 public:
  // Throws std::system_error that names the limit of the process that was exceeded.
  mapped_pages(int fd, std::uint64_t size, file_access access);
  mapped_pages(const mapped_pages&) = delete;
  mapped_pages& operator=(const mapped_pages&) = delete;
  ~mapped_pages() {
    if (base_ != nullptr) shared_memory::unmap(base_, size_);
  }
  [[nodiscard]] void* base() const noexcept { return base_; }
  void release() noexcept { base_ = nullptr; }

 private:
  void* base_;
  std::uint64_t size_;
};

}  // namespace outlive::detail
