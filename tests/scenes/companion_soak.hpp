// How each companion is put under random kills: by 8 processes for 30 seconds. OUTLIVE_SOAK_SECONDS
// asks for more or less; under a sanitizer, which makes a kill several times slower, it is 5.
#pragma once

#include <chrono>
#include <cstdlib>

#include "support/soak.hpp"

namespace outlive::testing {

inline soak_plan soak_of_a_companion() {
#ifdef __SANITIZE_ADDRESS__
  const std::chrono::seconds time(5);
#else
  const char* const asked = std::getenv("OUTLIVE_SOAK_SECONDS");
  const std::chrono::seconds time(asked != nullptr ? std::atoi(asked) : 30);
#endif
  soak_plan plan;
  plan.workers = 8;
  plan.duration = time;
  return plan;
}

}  // namespace outlive::testing
