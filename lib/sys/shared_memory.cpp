#include "sys/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

namespace outlive::detail {

namespace {

[[noreturn]] void fail_system(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

// The soft limit of this process, in bytes; nothing if there is none.
std::optional<std::uint64_t> limit_of(decltype(RLIMIT_AS) resource) noexcept {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}

std::string found_limit(const char* of_what, std::uint64_t limit, const char* name) {
  return std::string("found a limit on ") + of_what + " of " + std::to_string(limit) + " bytes (" +
         name + "), expected ";
}

// Checked first: writing beyond the limit is not only an error, SIGXFSZ ends the process.
void check_file_limit(std::uint64_t size, const std::string& what) {
  const auto limit = limit_of(RLIMIT_FSIZE);
  if (!limit || size <= *limit) return;
  fail_system(EFBIG, what + ": " +
                         found_limit("the size of files", *limit, "RLIMIT_FSIZE, ulimit -f") +
                         "at least " + std::to_string(size));
}

[[noreturn]] void fail_mapping(int error, std::uint64_t size) {
  const std::string more = "room for " + std::to_string(size) + " more";
  if (error == EAGAIN) {
    const auto limit = limit_of(RLIMIT_MEMLOCK);
    if (limit)
      fail_system(error, found_limit("locked memory", *limit, "RLIMIT_MEMLOCK, ulimit -l") + more +
                             ": this process locks all that it maps (mlockall)");
  }
  if (error == ENOMEM) {
    const auto limit = limit_of(RLIMIT_AS);
    if (limit)
      fail_system(error, found_limit("address space", *limit, "RLIMIT_AS, ulimit -v") + more);
    fail_system(
        error,
        "found no address space, or as many mappings as are allowed (vm.max_map_count), expected " +
            more + " bytes");
  }
  fail_system(error, "mapping " + std::to_string(size) + " bytes");
}

// Reserves all space now: with space that is only promised, a later store is SIGBUS (hazard A47).
void reserve(int fd, std::uint64_t size, const std::string& what) {
  check_file_limit(size, what);
  // All in one call, so that too much is refused before any memory is used. A signal makes tmpfs
  // undo the whole call, and a profiler's timer may always be faster than a large one: after the
  // first such signal, continue in steps.
  std::uint64_t step = size;
  for (std::uint64_t done = 0; done < size;) {
    const std::uint64_t next = std::min(step, size - done);
    const int rc = ::posix_fallocate(fd, static_cast<off_t>(done), static_cast<off_t>(next));
    if (rc == EINTR) {
      step = std::uint64_t{4} << 20;
      continue;
    }
    // ENOMEM: the machine or the control group has no memory left.
    if (rc != 0)
      fail_system(rc == ENOMEM ? ENOSPC : rc,
                  what + ": reserving " + std::to_string(size) + " bytes");
    done += next;
  }
}

const char* other_kind(mode_t mode) noexcept {
  if (S_ISREG(mode)) return nullptr;
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "something that is no regular file";
}

shared_memory::file_info info_of(const struct stat& info) noexcept {
  shared_memory::file_info file{};
  file.device = info.st_dev;
  file.inode = info.st_ino;
  file.size = static_cast<std::uint64_t>(info.st_size);
  file.allocated = static_cast<std::uint64_t>(info.st_blocks) * 512;
  file.owner = info.st_uid;
  file.mode = static_cast<unsigned>(info.st_mode & 0777);
  file.other_kind = other_kind(info.st_mode);
  file.links = info.st_nlink;
  return file;
}

}  // namespace

namespace shared_memory {

std::uint64_t file_system_at(const std::string& path) {
  struct statfs system {};
  if (::statfs(path.c_str(), &system) != 0) fail_system(errno, path);
  return static_cast<std::uint64_t>(system.f_type);
}

file_descriptor create_unnamed(const std::string& folder, std::uint64_t size, unsigned mode) {
  file_descriptor file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file) fail_system(errno, folder + ": making a file");
  // Not by the mode of open(), which the umask would cut.
  if (::fchmod(file.get(), static_cast<mode_t>(mode)) != 0) fail_system(errno, folder + ": fchmod");
  reserve(file.get(), size, folder);
  return file;
}

file_descriptor create_memfd(const std::string& name, std::uint64_t size) {
  file_descriptor file(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) fail_system(errno, "memfd_create");
  reserve(file.get(), size, "memfd " + name);
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0)
    fail_system(errno, "memfd " + name + ": F_SEAL_SHRINK");
  return file;
}

bool link(int fd, const std::string& path) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
  // If /proc is not mounted. This needs CAP_DAC_READ_SEARCH.
  if (errno != EEXIST && ::linkat(fd, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH) == 0) return true;
  if (errno == EEXIST) return false;
  fail_system(errno, path + ": giving the segment its name");
}

file_descriptor open(const std::string& path, file_access access) {
  const int how = access == file_access::read_only ? O_RDONLY : O_RDWR;
  file_descriptor file(::open(path.c_str(), how | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file && errno != ENOENT) fail_system(errno, path);
  return file;
}

const char* other_kind_at(const std::string& path) noexcept {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? other_kind(info.st_mode) : nullptr;
}

file_descriptor duplicate(int fd) {
  const int second = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  file_descriptor file(second, file_descriptor::opened::elsewhere);
  if (!file) fail_system(errno, "file descriptor " + std::to_string(fd));
  return file;
}

bool unlink(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  fail_system(errno, path);
}

void rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_system(errno, to);
}

file_info inspect(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail_system(errno, "fstat");
  file_info file = info_of(info);
  struct statfs system {};
  if (::fstatfs(fd, &system) != 0) fail_system(errno, "fstatfs");
  file.file_system = static_cast<std::uint64_t>(system.f_type);
  return file;
}

std::optional<file_info> inspect_path(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    file_info file = info_of(info);
    // of the folder: the file may be gone, or a link
    file.file_system = file_system_at(path.substr(0, path.rfind('/')));
    return file;
  }
  if (errno == ENOENT) return std::nullopt;
  fail_system(errno, path);
}

bool is_memfd(int fd) noexcept {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

std::size_t read_start(int fd, void* buffer, std::size_t size) {
  std::size_t total = 0;
  while (total < size) {
    const ssize_t n =
        ::pread(fd, static_cast<char*>(buffer) + total, size - total, static_cast<off_t>(total));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_system(errno, "reading the segment's header");
    if (n == 0) break;
    total += static_cast<std::size_t>(n);
  }
  return total;
}

void unmap(void* base, std::uint64_t size) noexcept {
  ::munmap(base, size);
}

}  // namespace shared_memory

mapped_pages::mapped_pages(int fd, std::uint64_t size, file_access access) : size_(size) {
  const int how = access == file_access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  base_ = ::mmap(nullptr, size, how, MAP_SHARED, fd, 0);
  if (base_ == MAP_FAILED) fail_mapping(errno, size);
  ::madvise(base_, size, MADV_DONTDUMP);
}

}  // namespace outlive::detail
