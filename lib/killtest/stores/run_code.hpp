// run_code: the instructions that a process has executed.
#pragma once

#include <cstdint>
#include <unordered_set>

namespace outlive::killtest::detail {

struct run_code {
  std::unordered_set<std::uintptr_t> all;
  std::unordered_set<std::uintptr_t> with_mutex;  // while the thread held a mutex of the user's
};

}  // namespace outlive::killtest::detail
