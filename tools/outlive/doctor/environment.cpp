// The settings of the machine: none prevents a recovery, but some delay it, or hide what one would
// like to know.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "doctor/checks.hpp"

namespace doctor {

namespace {

std::string first_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string options_of_proc() {
  std::ifstream mounts("/proc/self/mounts");
  std::string device, path, type, options;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    if (words >> device >> path >> type >> options && path == "/proc") return options;
  }
  return {};
}

// The last value of RemoveIPC in the file; `before` if there is none.
std::string remove_ipc_in(const std::filesystem::path& path, std::string before) {
  constexpr std::string_view key = "RemoveIPC=";
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    text.erase(std::remove_if(text.begin(), text.end(),
                              [](unsigned char c) { return std::isspace(c) != 0; }),
               text.end());
    if (text.starts_with(key)) before = text.substr(key.size());
  }
  return before;
}

}  // namespace

finding shared_memory_space() {
  constexpr std::uint64_t little = 64 << 20;
  struct statvfs info {};
  if (::statvfs("/dev/shm", &info) != 0) {
    return {"/dev/shm", severity::fail, "it cannot be examined",
            "Named segments are files there: only anonymous ones can be created."};
  }
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  const std::string found = fmt::format("{} MiB free", free >> 20);
  if (::access("/dev/shm", W_OK) != 0)
    return {"/dev/shm", severity::fail, "this user may not write there",
            "Only anonymous segments can be created."};
  if (free < little)
    return {"/dev/shm", severity::warn, found,
            "A segment that does not fit fails when it is created, and never later."};
  return {"/dev/shm", severity::ok, found, "There is room for named segments."};
}

finding tracing() {
  const std::string scope = first_line_of("/proc/sys/kernel/yama/ptrace_scope");
  if (scope.empty() || scope == "0")
    return {"ptrace scope", severity::ok, scope.empty() ? "no restriction" : scope,
            "The stacks of live processes of the same user can be read."};
  const bool never = scope == "3";
  const std::string meaning =
      never ? "No user can read the stacks of live processes."
            : "Only root, or its parent, can read the stack of a live process.";
  return {"ptrace scope", severity::warn, scope, meaning};
}

finding core_dumps() {
  const std::string pattern = first_line_of("/proc/sys/kernel/core_pattern");
  if (!pattern.starts_with('|')) {
    return {"core dumps", severity::ok, pattern.empty() ? "unknown" : pattern,
            "The mutexes of a process that dumps core are free once the dump is written."};
  }
  return {"core dumps", severity::warn, pattern,
          "The mutexes of a process that dumps core stay held until that program has read the "
          "whole dump: limit the program, or the dump's size."};
}

finding process_visibility() {
  const std::string options = options_of_proc();
  const auto at = options.find("hidepid=");
  const std::string value =
      at == std::string::npos ? "" : options.substr(at, options.find(',', at) - at);
  if (value.empty() || value == "hidepid=0" || value == "hidepid=off")
    return {"hidepid", severity::ok, "processes are visible",
            "It is known at once whether a thread lives."};
  return {"hidepid", severity::warn, value,
          "Other users' processes are hidden: an orphan of theirs is recognised only when the "
          "kernel reports that its thread is gone."};
}

finding pid_namespace() {
  struct stat own {};
  struct stat of_init {};
  if (::stat("/proc/self/ns/pid", &own) != 0)
    return {"PID namespace", severity::fail, "/proc is not mounted",
            "No segment can be created without it."};
  const bool readable = ::stat("/proc/1/ns/pid", &of_init) == 0;
  const std::string found =
      fmt::format("{}{}", own.st_ino,
                  readable && own.st_ino != of_init.st_ino ? ", but /proc belongs to another" : "");
  if (readable && own.st_ino != of_init.st_ino)
    return {
        "PID namespace", severity::fail, found,
        "/proc and the system calls show different processes: mount a /proc for this namespace."};
  return {"PID namespace", severity::ok, found,
          "All processes that use a segment must be in this namespace; others are refused."};
}

finding freezer() {
  std::ifstream groups("/proc/self/cgroup");
  bool first_version = false;
  for (std::string line; std::getline(groups, line);)
    first_version = first_version || line.find(":freezer:") != std::string::npos;
  if (first_version) {
    return {"cgroup freezer", severity::warn, "version 1",
            "A frozen process cannot be killed: its mutexes stay held until it is thawed."};
  }
  return {"cgroup freezer", severity::ok, "version 2, or none",
          "SIGKILL also ends a frozen process; until then it keeps its mutexes."};
}

finding remove_ipc() {
  const std::string check = "RemoveIPC";
  if (::access("/run/systemd/users", F_OK) != 0)
    return {check, severity::ok, "no logind", "Only their users remove segments."};
  // As systemd does it: the file, then its drop-ins in the order of their names; one in /etc hides
  // one of the same name elsewhere.
  std::map<std::string, std::filesystem::path> parts;
  for (const char* folder : {"/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d",
                             "/etc/systemd/logind.conf.d"}) {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
      if (entry.path().extension() == ".conf") parts[entry.path().filename()] = entry.path();
    }
  }
  std::string value = remove_ipc_in("/etc/systemd/logind.conf", "yes");
  for (const auto& [name, path] : parts) value = remove_ipc_in(path, value);
  if (value == "no" || value == "false" || value == "0" || value == "off")
    return {check, severity::ok, value, "logind leaves segments alone."};
  return {check, severity::warn, value,
          "When a user's last session ends, logind removes the user's segments, even if processes "
          "use them (not those of system users): set RemoveIPC=no."};
}

std::vector<finding> all_findings() {
  return {kernel(),    c_library(),  robust_list(),        killed_holder(), shared_memory_space(),
          tracing(),   core_dumps(), process_visibility(), pid_namespace(), freezer(),
          remove_ipc()};
}

}  // namespace doctor
