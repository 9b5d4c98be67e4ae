// How each companion is put under random kills: 8 processes for 30 seconds; for less under a sanitizer, which makes a kill several times slower.
#pragma once

#include <chrono>

#include "support/soak.hpp"

namespace outlive::testing {

inline soak_plan soak_of_a_companion() {
#ifdef __SANITIZE_ADDRESS__
  constexpr std::chrono::seconds time(5);
#else
  constexpr std::chrono::seconds time(30);
#endif
  soak_plan plan;
  plan.workers = 8;
  plan.duration = time;
  return plan;
}

}  // namespace outlive::testing
