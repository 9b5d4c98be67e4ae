#include "sys/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>

#include "sys/fork_epoch.hpp"

namespace outlive::detail {

namespace {

// Raw system calls here and below: libc's open, read, close and poll are cancellation points. A
// thread that is cancelled while lock() judges an owner must not unwind through that code, which is
// noexcept.
int open_raw(const char* path) noexcept {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
}

void close_raw(int fd) noexcept {
  ::syscall(SYS_close, fd);
}

// Reads a small file of /proc. Returns the bytes read, 0 on any error.
std::size_t read_file(const char* path, char* buffer, std::size_t size) noexcept {
  const int fd = open_raw(path);
  if (fd < 0) return 0;
  std::size_t total = 0;
  for (;;) {
    const long n = ::syscall(SYS_read, fd, buffer + total, size - total);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    total += static_cast<std::size_t>(n);
    if (total == size) break;
  }
  close_raw(fd);
  return total;
}

// Whether /proc shows this process's own PID namespace: then the process has exactly one number
// there. In a mount of an outer namespace, /proc/N is another process than N. Nothing, if it cannot
// be read now.
std::optional<bool> read_proc_is_ours() noexcept {
  char text[4096];
  const std::string_view all(text, read_file("/proc/self/status", text, sizeof text));
  if (all.empty()) return std::nullopt;
  const std::size_t begin = all.find("\nNSpid:");
  if (begin == std::string_view::npos) return true;  // a kernel without PID namespaces
  const std::string_view line = all.substr(begin + 1, all.find('\n', begin + 1) - begin - 1);
  const std::size_t number = line.find_first_of("0123456789");
  return number != std::string_view::npos &&
         line.find_first_not_of("0123456789", number) == std::string_view::npos;
}

bool proc_is_ours() noexcept {
  static std::atomic<std::uint64_t> asked_epoch{0};
  static std::atomic<bool> answer{false};
  const std::uint64_t epoch = process_epoch();
  if (asked_epoch.load(std::memory_order_acquire) == epoch)
    return answer.load(std::memory_order_relaxed);
  const std::optional<bool> ours = read_proc_is_ours();
  if (!ours) return false;  // not remembered: a descriptor may be free next time
  answer.store(*ours, std::memory_order_relaxed);
  asked_epoch.store(epoch, std::memory_order_release);
  return *ours;
}

struct thread_stat {
  bool readable = false;
  char state = '?';
  // of its process: those that have not ended, and a main thread that has
  std::uint64_t threads = 0;
  std::uint64_t flags = 0;  // of the kernel
  std::uint64_t start_time = 0;
};

std::uint64_t read_number(std::string_view text, std::size_t at) noexcept {
  std::uint64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    value = value * 10 + static_cast<std::uint64_t>(text[at] - '0');
  return value;
}

// proc(5): "pid (comm) state ppid ...", field 9 is the kernel's flags, 20 the number of threads, 22
// the start time. The name may contain spaces and brackets, so search for the last bracket.
thread_stat read_stat(pid_t tid) noexcept {
  if (!proc_is_ours()) return {};
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(tid));
  char text[1024];
  const std::size_t size = read_file(path, text, sizeof text);
  const std::string_view all(text, size);
  std::size_t at = all.rfind(')');
  if (at == std::string_view::npos || at + 2 >= size) return {};
  thread_stat stat;
  stat.state = all[at + 2];
  at += 2;
  for (int field = 3; field < 22; ++field) {
    at = all.find(' ', at);
    if (at == std::string_view::npos) return {};
    ++at;
    if (field + 1 == 9) stat.flags = read_number(all, at);
    if (field + 1 == 20) stat.threads = read_number(all, at);
  }
  stat.start_time = read_number(all, at);
  stat.readable = true;
  return stat;
}

// For use without a free descriptor. A main thread that has ended is a zombie even while others
// run.
bool is_zombie_process(pid_t pid) noexcept {
  const thread_stat now = read_stat(pid);
  return now.readable && (now.state == 'X' || (now.state == 'Z' && now.threads <= 1));
}

// Whether /proc shows a zombie, or another start time than this one, of which `mask` is known.
bool is_dead_in_proc(pid_t tid, std::uint64_t start_time, std::uint64_t mask) noexcept {
  const thread_stat now = read_stat(tid);
  if (!now.readable) return false;
  const std::uint64_t found = now.start_time & mask;
  return now.state == 'Z' || now.state == 'X' ||
         (start_time != 0 && found != 0 && found != start_time);
}

}  // namespace

pid_t current_pid() noexcept {
  return ::getpid();
}

pid_t current_tid() noexcept {
  return static_cast<pid_t>(::syscall(SYS_gettid));
}

short_name current_thread_name() noexcept {
  short_name name{};
  ::prctl(PR_GET_NAME, name.data(), 0, 0, 0);
  name.back() = 0;
  return name;
}

short_name command_name_of(pid_t pid) noexcept {
  short_name name{};
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%d/comm", static_cast<int>(pid));
  const std::size_t size = read_file(path, name.data(), name.size());
  if (size != 0) name[size - 1] = 0;  // the line end, or the last byte of a name of full length
  return name;
}

short_name current_command_name() noexcept {
  // Not of "self": a thread of another uid namespace may not read that.
  const short_name name = command_name_of(::getpid());
  return name[0] != 0 ? name : current_thread_name();
}

std::uint64_t start_time_of(pid_t tid) noexcept {
  return read_stat(tid).start_time;
}

std::uint64_t pid_namespace_inode() noexcept {
  struct stat info {};
  return ::stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

std::uint32_t time_namespace_inode() noexcept {
  struct stat info {};
  return ::stat("/proc/self/ns/time", &info) == 0 ? static_cast<std::uint32_t>(info.st_ino) : 0;
}

boot_id current_boot_id(int& error) noexcept {
  boot_id id{};
  char text[64];
  errno = 0;
  const std::size_t size = read_file("/proc/sys/kernel/random/boot_id", text, sizeof text);
  std::size_t digits = 0;
  for (std::size_t i = 0; i < size && digits < 2 * id.size(); ++i) {
    const char c = text[i];
    int value = -1;
    if (c >= '0' && c <= '9') value = c - '0';
    if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
    if (value < 0) continue;
    id[digits / 2] = static_cast<char>((static_cast<unsigned char>(id[digits / 2]) << 4) | value);
    ++digits;
  }
  error = digits == 2 * id.size() ? 0 : errno != 0 ? errno : ENODATA;
  return id;
}

bool is_thread_dead(pid_t pid, pid_t tid, std::uint64_t start_time) noexcept {
  if (pid <= 0 || tid <= 0) return true;
  if (::syscall(SYS_tgkill, pid, tid, 0) != 0 && errno == ESRCH) return true;
  return is_dead_in_proc(tid, start_time, ~std::uint64_t{0});
}

bool is_bearer_dead(pid_t tid, std::uint32_t start_time) noexcept {
  return is_thread_id_free(tid) || is_dead_in_proc(tid, start_time, 0xffffffff);
}

bool is_thread_id_free(pid_t tid) noexcept {
  return tid <= 0 || (::syscall(SYS_tkill, tid, 0) != 0 && errno == ESRCH);
}

bool is_ending(pid_t pid) noexcept {
  constexpr std::uint64_t exiting = 0x4;  // PF_EXITING
  const thread_stat now = read_stat(pid);
  return now.readable && now.threads <= 1 && (now.flags & exiting) != 0;
}

bool is_process_dead(pid_t pid) noexcept {
  if (pid <= 0) return true;
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0)
    return errno == ESRCH || (::syscall(SYS_kill, pid, 0) != 0 && errno == ESRCH) ||
           is_zombie_process(pid);
  pollfd ended{fd, POLLIN, 0};  // readable once the last thread has ended, reaped or not
  timespec at_once{};
  const bool dead =
      ::syscall(SYS_ppoll, &ended, 1, &at_once, nullptr, 0) == 1 && (ended.revents & POLLIN) != 0;
  close_raw(fd);
  return dead;
}

std::uint32_t effective_user() noexcept {
  return ::geteuid();
}

}  // namespace outlive::detail
