#include "fuzz/segment_names.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <vector>

namespace outlive::fuzz {

namespace {

const std::string folder = "/dev/shm/";

std::string file_name(const std::string& name) {
  return "outlive." + name;
}

void take_all_away(const std::string& prefix) {
  std::error_code error;
  std::vector<std::filesystem::path> left;
  for (auto each = std::filesystem::directory_iterator(folder, error);
       !error && each != std::filesystem::directory_iterator(); each.increment(error)) {
    if (each->path().filename().string().starts_with(file_name(prefix)))
      left.push_back(each->path());
  }
  for (const auto& each : left) ::unlink(each.c_str());
}

// Nobody who ends the fuzzer means this process, and nobody waits for its output.
[[noreturn]] void stand_by(int others, const std::string& prefix) {
  ::setsid();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(signal, SIG_IGN);
  const int none = ::open("/dev/null", O_RDWR);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(none, standard);
  char byte = 0;
  while (::read(others, &byte, 1) < 0 && errno == EINTR) {
  }
  take_all_away(prefix);
  ::_exit(0);
}

}  // namespace

segment_names::segment_names() : prefix_("fuzz-" + std::to_string(::getpid()) + '-') {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
  guard_ = ::fork();
  if (guard_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (guard_ == 0) {
    ::close(ends[1]);
    stand_by(ends[0], prefix_);
  }
  ::close(ends[0]);
  alive_ = ends[1];
}

segment_names::~segment_names() {
  ::close(alive_);
  ::waitpid(guard_, nullptr, 0);
}

std::string segment_names::own() const {
  return prefix_ + std::to_string(::getpid());
}

void give_name(int file, const std::string& name) {
  const std::string path = folder + file_name(name), link = "/proc/self/fd/" + std::to_string(file);
  ::unlink(path.c_str());
  if (::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0)
    throw std::system_error(errno, std::generic_category(), "naming a segment");
}

void take_name_away(const std::string& name) noexcept {
  ::unlink((folder + file_name(name)).c_str());
}

}  // namespace outlive::fuzz
