// acts: what victims and heirs do, where they are logged and where they are killed for real.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/scenario.hpp>

#include "killtest/stores/page_shadow.hpp"
#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// In the process that dies: first the set-up, in which nobody is killed, then what is tested.
struct workload {
  std::function<std::vector<repair_registration>()> set_up;
  std::function<void()> tested;
};

[[nodiscard]] workload workload_of_victim(const scenario& what, const explore_options& how,
                                          segment& seg);
// `mutexes` must stay.
[[nodiscard]] workload workload_of_heir(const scenario& what, segment& seg,
                                        const std::vector<std::uint64_t>& mutexes);

// Logs what the calling process has changed in its view of the segment, as against the segment's
// file, in these parts: the set-up, whose single stores do not count.
void log_differences(store_log& log, const segment& seg, const std::vector<byte_range>& parts);

}  // namespace outlive::killtest::detail
