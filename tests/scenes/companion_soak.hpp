// How long each companion is under random kills: 8 processes for 30 seconds, or
// OUTLIVE_SOAK_SECONDS. Under a sanitizer, which makes a kill several times slower, 5 seconds.
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
