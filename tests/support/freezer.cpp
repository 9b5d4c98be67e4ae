#include "support/freezer.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string_view>

#include "support/bounded.hpp"

namespace outlive::testing {
namespace {

void write(const std::string& path, std::string_view text) {
  std::ofstream file(path);
  file << text << std::flush;
  if (!file)
    throw std::runtime_error(path + ": cannot write '" + std::string(text) +
                             "': " + std::strerror(errno));
}

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The cgroup that this process is in, as a folder.
std::string own_folder(freezer::version of) {
  const std::string mark = of == freezer::version::one ? ":freezer:" : "0::";
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto at = line.find(mark);
    if (at == std::string::npos || (of == freezer::version::two && at != 0)) continue;
    const std::string path = line.substr(at + mark.size());
    for (const char* const root :
         {"/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
      const bool is_first = std::string_view(root).ends_with("freezer");
      if (is_first == (of == freezer::version::one) &&
          access((root + path + "/cgroup.procs").c_str(), F_OK) == 0)
        return root + path;
    }
  }
  throw freezer::unavailable("no cgroup freezer of version " +
                             std::to_string(static_cast<int>(of)) + " is mounted");
}

}  // namespace

freezer::freezer(version of)
    : version_(of),
      parent_(own_folder(of)),
      folder_(parent_ + "/outlive-test." + std::to_string(getpid())) {
  if (mkdir(folder_.c_str(), 0700) != 0) throw unavailable(folder_ + ": " + std::strerror(errno));
}

freezer::~freezer() {
  try {
    thaw();
    std::istringstream inside(read(folder_ + "/cgroup.procs"));
    for (std::string pid; inside >> pid;) write(parent_ + "/cgroup.procs", pid);
  } catch (const std::exception&) {
    // Then the cgroup stays. Its processes have ended, or are thawed.
  }
  within(milliseconds(2'000), [&] { return rmdir(folder_.c_str()) == 0 || errno != EBUSY; });
}

void freezer::add_process(pid_t pid) const {
  write(folder_ + "/cgroup.procs", std::to_string(pid));
}

void freezer::add_thread(pid_t tid) const {
  write(folder_ + "/tasks", std::to_string(tid));
}

void freezer::freeze() const {
  const bool first = version_ == version::one;
  write(folder_ + (first ? "/freezer.state" : "/cgroup.freeze"), first ? "FROZEN" : "1");
  const auto is_frozen = [&] {
    return first ? read(folder_ + "/freezer.state") == "FROZEN\n"
                 : read(folder_ + "/cgroup.events").find("frozen 1") != std::string::npos;
  };
  if (!within(default_timeout(), is_frozen))
    throw timed_out(folder_ + ": found it not frozen in time");
}

void freezer::thaw() const {
  const bool first = version_ == version::one;
  write(folder_ + (first ? "/freezer.state" : "/cgroup.freeze"), first ? "THAWED" : "0");
}

}  // namespace outlive::testing
