#include "sys/mapped_files.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <system_error>

#include "sys/shared_memory.hpp"

namespace outlive::detail {

namespace {

constexpr char path[] = "/proc/self/maps";

std::string text_of_maps() {
  const file_descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  std::size_t used = 0;
  for (;;) {
    text.resize(used + 16'384);
    const ssize_t n = file ? ::read(file.get(), text.data() + used, text.size() - used) : -1;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw std::system_error(errno, std::generic_category(), path);
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
  }
  text.resize(used);
  return text;
}

}  // namespace

std::vector<address_range> writable_mappings_of(std::uint64_t device, std::uint64_t inode) {
  const std::string text = text_of_maps();
  std::vector<address_range> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    std::uint64_t first = 0, last = 0, number = 0;
    unsigned major_id = 0, minor_id = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64, &first, &last, access, &major_id, &minor_id, &number) != 6)
      continue;
    if (number == inode && access[1] == 'w' && access[3] == 's' && makedev(major_id, minor_id) == device) found.push_back({first, last});
  }
  return found;
}

}  // namespace outlive::detail
