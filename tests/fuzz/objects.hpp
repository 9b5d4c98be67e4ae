// What lies in a scene's segment: the types and names that the scenes make and the operations use.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include <outlive/outlive.hpp>

namespace outlive::fuzz {

struct pair {
  long a = 500;
  long b = 500;
};
struct job {
  std::uint64_t number;
  char text[40];
};
using account = guarded<pair>;
using prices = guarded<pair, robust_shared_mutex>;
using jobs = work_queue<job, 8>;
using permits = permit_pool<4>;
using bytes = std::array<unsigned char, 100>;

inline constexpr std::uint32_t job_tries = 2;
inline constexpr work_queue_options with_limit{job_tries, std::chrono::hours(1)};

// Of class "account": how each was left, by the scene "deaths".
inline constexpr std::array account_names{
    "account",     // its owner is dead, the kernel has marked it
    "held",        // a living thread has it
    "unrepaired",  // its owner is dead, and one without a repair met it
    "broken",      // not recoverable
    "repairing",   // its heir died in the repair
    "orphan",      // its owner is dead, and the kernel has not marked it
    "free",
};

inline std::string long_name() {
  std::string name(255, 'l');
  name.back() = '!';
  return name;
}

}  // namespace outlive::fuzz
