// Where the files of another process are mapped.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace outlive::crash {

struct mapped_file {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t base;  // what to take off an address to get the file's own
  std::string path;
};

// The executable mappings of the thread's process; empty where they cannot be read.
std::vector<mapped_file> executable_mappings(pid_t tid);

}  // namespace outlive::crash
