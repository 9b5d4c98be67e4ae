#include "killtest/process/memory_group.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

namespace outlive::killtest::detail {

namespace {

constexpr std::size_t limit_bytes = 32 << 20;
constexpr std::size_t filled_bytes = 512 << 20;

std::string failed(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

bool write_setting(const std::string& path, std::string_view text) noexcept {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::close(fd);
  errno = error;
  return written;
}

// The folders of the calling process's group, as cgroup versions 1 and 2 mount them. A container
// may see its own group as the root.
std::vector<std::string> own_groups() {
  std::vector<std::string> found;
  std::ifstream lines("/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    const std::string path = line.substr(second + 1);
    const bool is_v1 = controllers.find(",memory,") != std::string::npos;
    if (!is_v1 && controllers != ",,") continue;
    const std::string mounted = is_v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
    found.push_back(mounted + (path == "/" ? "" : path));
    if (path != "/") found.push_back(mounted);
  }
  return found;
}

bool set_limit(const std::string& group, std::string& why) {
  const std::string limit = std::to_string(limit_bytes);
  const bool is_v2 = ::access((group + "/memory.max").c_str(), F_OK) == 0;
  const std::string file = group + (is_v2 ? "/memory.max" : "/memory.limit_in_bytes");
  if (!write_setting(file, limit)) {
    why = failed(file);
    return false;
  }
  // Swap must not help. A machine without swap lacks these files.
  write_setting(group + (is_v2 ? "/memory.swap.max" : "/memory.memsw.limit_in_bytes"),
                is_v2 ? "0" : limit);
  return true;
}

}  // namespace

std::unique_ptr<memory_group> memory_group::make(std::string& why) {
  static std::atomic<unsigned> made{0};
  why = "no memory cgroup is mounted";
  for (const std::string& parent : own_groups()) {
    if (::access(parent.c_str(), F_OK) != 0) continue;
    const std::string path =
        parent + "/outlive-killtest-" + std::to_string(::getpid()) + '-' + std::to_string(made++);
    if (::mkdir(path.c_str(), 0755) != 0) {
      why = failed("mkdir " + path);
      continue;
    }
    if (set_limit(path, why)) return std::unique_ptr<memory_group>(new memory_group(path));
    ::rmdir(path.c_str());
  }
  return nullptr;
}

memory_group::~memory_group() {
  ::rmdir(path_.c_str());
}

void memory_group::die_in_it(int code) const noexcept {
  if (!write_setting(members_, "0")) ::_exit(code);
  void* const memory = ::mmap(nullptr, filled_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) ::_exit(code);
  std::memset(memory, 1, filled_bytes);
  ::_exit(code);
}

}  // namespace outlive::killtest::detail
