// Shared memory: files under /dev/shm and memfds, and their mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "sys/file_descriptor.hpp"

namespace outlive::detail {

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
file_descriptor open(const std::string& path);
// The same, read-only.
file_descriptor open_to_read(const std::string& path);
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

// Maps the whole file, shared and writable, excluded from core dumps (hazard A49). Throws
// std::system_error that names the limit of the process that was exceeded.
void* map(int fd, std::uint64_t size);
// The same, read-only: a store to it is a SIGSEGV.
void* map_to_read(int fd, std::uint64_t size);
void unmap(void* base, std::uint64_t size) noexcept;

}  // namespace shared_memory

}  // namespace outlive::detail
