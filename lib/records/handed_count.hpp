// How many of the permits and jobs that a thread has handed over name it no longer. Other threads
// of the process count.
#pragma once

#include <atomic>
#include <cstdint>

namespace outlive::detail {

struct handed_count {
  std::atomic<std::uint32_t> ended{0};
};

}  // namespace outlive::detail
