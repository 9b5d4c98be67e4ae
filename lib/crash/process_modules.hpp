// The modules of another process, from its mappings and its memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "crash/checked_memory.hpp"
#include "crash/module_map.hpp"

namespace outlive::crash {

struct process_module {
  mapped_module at;    // of its code
  std::uint64_t base;  // subtract it from an address to get the file's
  std::string path;
  bool deleted;  // the path now leads to another file, or to none
};

// Empty if they cannot be read. `memory`: of the thread's process.
std::vector<process_module> modules_of(pid_t tid, checked_memory& memory);

}  // namespace outlive::crash
