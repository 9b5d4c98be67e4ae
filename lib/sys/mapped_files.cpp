#include "sys/mapped_files.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "sys/file_descriptor.hpp"

namespace outlive::detail {

namespace {

constexpr char maps_path[] = "/proc/self/maps";

// Calls visit(line) for each line. The buffer is small and on the stack: a large heap block makes
// malloc consolidate its heap, and a process may have thousands of mappings.
template <class Visit>
void for_each_line(Visit visit) {
  const file_descriptor file(::open(maps_path, O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  std::string line;
  for (;;) {
    const ssize_t n = file ? ::read(file.get(), buffer, sizeof buffer) : -1;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw std::system_error(errno, std::generic_category(), maps_path);
    if (n == 0) return;
    const std::string_view piece(buffer, static_cast<std::size_t>(n));
    std::size_t begin = 0;
    for (std::size_t end; (end = piece.find('\n', begin)) != piece.npos; begin = end + 1) {
      line += piece.substr(begin, end - begin);
      visit(line);
      line.clear();
    }
    line += piece.substr(begin);
  }
}

// Returns: the range, if the line is a shared, writable mapping of the file.
std::optional<address_range> writable_mapping(const std::string& line, std::uint64_t device,
                                              std::uint64_t inode) {
  address_range range{};
  std::uint64_t number = 0;
  unsigned major_id = 0, minor_id = 0;
  char access[5] = {};
  if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64, &range.begin,
                  &range.end, access, &major_id, &minor_id, &number) != 6)
    return std::nullopt;
  const bool is_of_file = number == inode && makedev(major_id, minor_id) == device;
  if (!is_of_file || access[1] != 'w' || access[3] != 's') return std::nullopt;
  return range;
}

}  // namespace

std::vector<address_range> writable_mappings_of(std::uint64_t device, std::uint64_t inode) {
  const std::string wanted = ' ' + std::to_string(inode) + ' ';
  std::vector<address_range> found;
  for_each_line([&](const std::string& line) {
    // Parse only lines that can be of the file.
    if (line.find(wanted) == line.npos) return;
    if (const auto range = writable_mapping(line, device, inode)) found.push_back(*range);
  });
  return found;
}

}  // namespace outlive::detail
