#include "support/leaks.hpp"

#include <dirent.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <system_error>

namespace outlive::testing {
namespace {

std::map<int, std::string> list_files(const std::string& folder) {
  const auto close = [](DIR* open) { closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> open(opendir(folder.c_str()), close);
  if (!open) throw std::system_error(errno, std::generic_category(), folder);
  std::map<int, std::string> found;
  while (const dirent* entry = readdir(open.get())) {
    if (entry->d_name[0] == '.') continue;
    const int fd = std::atoi(entry->d_name);
    // The listing's own descriptor does not count.
    if (fd == dirfd(open.get()) && folder == "/proc/" + std::to_string(getpid()) + "/fd") continue;
    std::array<char, PATH_MAX> target{};
    const std::string link = folder + '/' + entry->d_name;
    if (readlink(link.c_str(), target.data(), target.size() - 1) >= 0) found[fd] = target.data();
  }
  return found;
}

/// The sixth column of a line of /proc/PID/maps; empty for an anonymous mapping.
std::string path_in(const std::string& line) {
  std::istringstream columns(line);
  std::string skipped;
  for (int i = 0; i < 5; ++i) columns >> skipped;
  std::string path;
  std::getline(columns >> std::ws, path);
  return path;
}

}  // namespace

char task_state(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  // The command name before the last ')' may contain anything.
  const auto end = line.rfind(')');
  return end == std::string::npos || end + 2 >= line.size() ? '\0' : line[end + 2];
}

bool is_dead(pid_t pid) {
  const char state = task_state(pid);
  return state == '\0' || state == 'Z' || state == 'X';
}

holdings holdings::of(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  holdings out;
  out.files_ = list_files(folder + "/fd");
  std::ifstream maps(folder + "/maps");
  if (!maps) throw std::system_error(errno, std::generic_category(), folder + "/maps");
  for (std::string line; std::getline(maps, line);) {
    ++out.mappings_;
    const std::string path = path_in(line);
    if (path.rfind('/', 0) == 0) ++out.mapped_[path];
  }
  return out;
}

std::size_t holdings::mappings_of(std::string_view part_of_path) const {
  std::size_t found = 0;
  for (const auto& [path, count] : mapped_) {
    if (path.find(part_of_path) != std::string::npos) found += count;
  }
  return found;
}

std::string holdings::added_since(const holdings& before) const {
  std::ostringstream out;
  for (const auto& [fd, target] : files_) {
    const auto old = before.files_.find(fd);
    if (old == before.files_.end() || old->second != target)
      out << "fd " << fd << " -> " << target << '\n';
  }
  for (const auto& [path, count] : mapped_) {
    const auto old = before.mapped_.find(path);
    const std::size_t had = old == before.mapped_.end() ? 0 : old->second;
    if (count > had) out << count - had << " more mapping(s) of " << path << '\n';
  }
  return out.str();
}

}  // namespace outlive::testing
