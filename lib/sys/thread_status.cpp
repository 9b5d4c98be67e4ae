#include "sys/thread_status.hpp"

#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>

#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

bool starts_with(const std::string& line, std::string_view word) {
  return std::string_view(line).substr(0, word.size()) == word;
}

bool has_line(const std::string& path, std::string_view wanted) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line == wanted) return true;
  }
  return false;
}

// The freezers of both versions of cgroups, where they are usually mounted; version 2 has its own
// folder if version 1 is in use, too. Elsewhere frozen threads look like sleeping ones.
bool is_frozen(const std::string& folder) {
  std::ifstream groups(folder + "/cgroup");
  for (std::string line; std::getline(groups, line);) {
    for (const char* const root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      if (starts_with(line, "0::") &&
          has_line(root + line.substr(3) + "/cgroup.events", "frozen 1"))
        return true;
    }
    const std::size_t path = line.find(":freezer:");
    if (path != std::string::npos &&
        has_line("/sys/fs/cgroup/freezer" + line.substr(path + 9) + "/freezer.state", "FROZEN"))
      return true;
  }
  return false;
}

}  // namespace

thread_status read_thread_status(pid_t tid) {
  const no_cancellation here;  // a stream closes its file in a destructor
  const std::string folder = "/proc/" + std::to_string(tid);
  thread_status seen;
  std::ifstream status(folder + "/status");
  for (std::string line; std::getline(status, line);) {
    if (starts_with(line, "State:\t") && line.size() > 7) seen.state = line[7];
    if (starts_with(line, "TracerPid:\t")) seen.traced = line != "TracerPid:\t0";
    if (starts_with(line, "CoreDumping:\t")) seen.dumping = line == "CoreDumping:\t1";
  }
  seen.frozen = is_frozen(folder);
  return seen;
}

}  // namespace outlive::detail
