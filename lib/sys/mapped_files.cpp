#include "sys/mapped_files.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>

#include "sys/shared_memory.hpp"

namespace outlive::detail {

namespace {

constexpr char maps_path[] = "/proc/self/maps";

std::string text_of_maps() {
  const file_descriptor file(::open(maps_path, O_RDONLY | O_CLOEXEC));
  std::string text;
  std::size_t used = 0;
  for (;;) {
    text.resize(used + 16'384);
    const ssize_t n = file ? ::read(file.get(), text.data() + used, text.size() - used) : -1;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw std::system_error(errno, std::generic_category(), maps_path);
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
  }
  text.resize(used);
  return text;
}

}  // namespace

std::vector<address_range> writable_mappings_of(std::uint64_t device, std::uint64_t inode) {
  const std::string text = text_of_maps();
  const std::string wanted = ' ' + std::to_string(inode) + ' ';
  std::vector<address_range> found;
  // Lines that cannot be of the file are not taken apart: a process may have thousands.
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const void* const hit =
        ::memmem(at, static_cast<std::size_t>(end - at), wanted.data(), wanted.size());
    if (hit == nullptr) break;
    const auto place = static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
    const std::size_t before = text.rfind('\n', place);
    const std::string line =
        text.substr(before == std::string::npos ? 0 : before + 1, place - before + wanted.size());
    at = static_cast<const char*>(hit) + 1;
    std::uint64_t first = 0, last = 0, number = 0;
    unsigned major_id = 0, minor_id = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64, &first, &last,
                    access, &major_id, &minor_id, &number) != 6)
      continue;
    if (number == inode && access[1] == 'w' && access[3] == 's' &&
        makedev(major_id, minor_id) == device)
      found.push_back({first, last});
  }
  return found;
}

}  // namespace outlive::detail
