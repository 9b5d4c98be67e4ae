// The modules of another process, as its mappings and its memory tell them.
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
  std::uint64_t base;  // what to take off an address to get the file's own
  std::string path;
  bool deleted;  // what stands at the path now is another file
};

// Empty where they cannot be read. `memory` is that of the thread's process.
std::vector<process_module> modules_of(pid_t tid, checked_memory& memory);

}  // namespace outlive::crash
